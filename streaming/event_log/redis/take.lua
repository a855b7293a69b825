-- Take over a turn whose lease has run out: the next epoch is ours, and its former holder is fenced.
--
-- KEYS: lease, log. ARGV: worker, lease in ms, how long to keep the keys in ms, and from the record its
-- epoch and last seq. A log of which nothing is left begins anew after what the record has.
-- Returns {1, new epoch, last seq, takeovers before this one, until when it is ours} or
-- {0, epoch that has it, 0, 0, 0}.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'epoch', 'until', 'last', 'takeovers')
local epoch, live_until = tonumber(held[1]) or 0, tonumber(held[2]) or 0
if live_until > now then return {0, epoch, 0, 0, 0} end
epoch = math.max(epoch, tonumber(ARGV[4])) + 1
local last, takeovers = tonumber(held[3]) or 0, (tonumber(held[4]) or 0) + 1
if last == 0 then
    redis.call('DEL', KEYS[2])
    last = tonumber(ARGV[5])
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'worker', ARGV[1], 'until', now + ARGV[2],
    'last', last, 'takeovers', takeovers)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, epoch, last, takeovers - 1, now + ARGV[2]}
