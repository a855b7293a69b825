-- A place among those that are held.
-- KEYS[1]  sorted set of holders, by when their lease runs out (ms of this server's clock)
-- ARGV     1 holder  2 lease in ms  3 places, 0: any number  4 how names of its group begin
--          5 places of the group, 0: any number
-- Returns  'taken', 'full' or 'group_full'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)

if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  local limit, group_limit = tonumber(ARGV[3]), tonumber(ARGV[5])
  if limit > 0 and redis.call('ZCARD', KEYS[1]) >= limit then
    return 'full'
  end
  if group_limit > 0 then
    local beside = 0
    for _, holder in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
      if string.sub(holder, 1, #ARGV[4]) == ARGV[4] then
        beside = beside + 1
      end
    end
    if beside >= group_limit then
      return 'group_full'
    end
  end
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'taken'
