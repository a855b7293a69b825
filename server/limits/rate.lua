-- A call in a moving window.
-- KEYS[1]  list of when calls were granted (microseconds of this server's clock), newest first
-- ARGV     1 calls that may be granted in a window  2 the window in ms  3 '1' to count, '0' to ask
-- Returns  { 1 granted or 0 refused, calls left, microseconds until the oldest no longer counts }
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), ARGV[2] * 1000

local newest = redis.call('LINDEX', KEYS[1], 0)
if newest and tonumber(newest) > now + 1000000 then
  redis.call('DEL', KEYS[1]) -- the clock went back: nobody is kept out until it has caught up
end

local oldest = redis.call('LINDEX', KEYS[1], -1)
while oldest and tonumber(oldest) <= now - window do
  redis.call('RPOP', KEYS[1])
  oldest = redis.call('LINDEX', KEYS[1], -1)
end

local count = redis.call('LLEN', KEYS[1])
local granted = count < limit and 1 or 0
if granted == 1 and ARGV[3] == '1' then
  redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  count = count + 1
  oldest = oldest or now
end
return { granted, math.max(0, limit - count), oldest and (oldest + window - now) or 0 }
