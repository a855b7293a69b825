-- One of the hour's messages.
-- KEYS[1]  sorted set of the messages sent, by when (microseconds of this server's clock)
-- KEYS[2]  string: there while it has been said that there are no more
-- ARGV     1 name of this message  2 messages that may be sent in an hour  3 the hour in ms
-- Returns  'granted', 'last' or 'refused'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - ARGV[3] * 1000)
if redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 'granted'
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[3]) then
  return 'last'
end
return 'refused'
