-- What became of a claim; refused where it lapsed and another has it now.
-- KEYS[1]  as in claim.lua
-- ARGV     1 worker  2 'begin', 'end', 'event' or 'back'  3 repeat ms  4 keep ms  5... severities
-- Returns  1, or 0 where the claim was another's
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder = redis.call('HGET', KEYS[1], 'claim')
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'claim', 'until')
if ARGV[2] == 'end' then
  redis.call('HDEL', KEYS[1], 'open')
elseif ARGV[2] ~= 'back' then
  for i = 5, #ARGV do
    redis.call('HSET', KEYS[1], 'told:' .. ARGV[i], now + ARGV[3])
  end
  if ARGV[2] == 'begin' then
    redis.call('HSET', KEYS[1], 'open', 1)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
