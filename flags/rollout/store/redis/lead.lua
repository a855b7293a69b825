-- Take or renew the lease.
--
-- KEYS  1 lease, 2 the highest token that was ever given out.
-- ARGV  1 worker, 2 milliseconds that the lease lasts.
-- Returns the worker's token, or nil where another one leads.
local lease = redis.call('HMGET', KEYS[1], 'worker', 'token')
local token = lease[2]
if lease[1] and lease[1] ~= ARGV[1] then
    return false
end
local highest = redis.call('GET', KEYS[2]) or '0'
if not lease[1] or tonumber(token) < tonumber(highest) then
    -- By the clock, so that a server that lost everything gives out none a second time.
    local time = redis.call('TIME')
    local now_us = time[1] * 1000000 + time[2]
    token = string.format('%.0f', math.max(tonumber(highest) + 1, now_us))
    redis.call('HSET', KEYS[1], 'worker', ARGV[1], 'token', token)
    redis.call('SET', KEYS[2], token)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
