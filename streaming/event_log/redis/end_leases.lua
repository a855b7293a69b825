-- End the leases of a worker that is gone: its turns are overdue now.
--
-- KEYS: the list of running turns, then leases. ARGV: worker, then the turn of each lease.
-- Returns how many were its own and had not run out.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ended = 0
for place = 2, #KEYS do
    local held = redis.call('HMGET', KEYS[place], 'worker', 'until')
    if held[1] == ARGV[1] and (tonumber(held[2]) or 0) > now then
        redis.call('HSET', KEYS[place], 'until', now)
        redis.call('ZADD', KEYS[1], now, ARGV[place])
        ended = ended + 1
    end
end
return ended
