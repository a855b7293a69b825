-- Who tells something: one step for all processes of a deployment.
-- KEYS[1]  hash of one subject: 'told:<severity>' until when it counts as told (ms of this server's
--          clock), 'open' 1 while its end is to be told, 'claim' and 'until' who is telling it,
--          'seen:<worker>' until when that worker counts as seeing it
-- ARGV     1 worker  2 'begin', 'end' or 'event'  3 severity  4 claim ms  5 seen ms  6 keep ms
-- Returns  'ours', 'theirs' or 'done'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, kind = ARGV[1], ARGV[2]

if kind == 'begin' then
  redis.call('HSET', KEYS[1], 'seen:' .. worker, now + ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end

if kind == 'end' then
  redis.call('HDEL', KEYS[1], 'seen:' .. worker)
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'seen:' and tonumber(fields[i + 1]) > now then
      return 'done' -- another one still sees it, and tells its end
    end
  end
  if redis.call('HGET', KEYS[1], 'open') ~= '1' then
    return 'done'
  end
elseif tonumber(redis.call('HGET', KEYS[1], 'told:' .. ARGV[3]) or '0') > now then
  return 'done'
end

local claimed = redis.call('HMGET', KEYS[1], 'claim', 'until')
if claimed[1] and claimed[1] ~= worker and tonumber(claimed[2]) > now then
  return 'theirs'
end
redis.call('HSET', KEYS[1], 'claim', worker, 'until', now + ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 'ours'
