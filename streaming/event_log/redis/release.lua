-- Give a turn away: its lease ends now, or soon, and whoever takes it next need not wait for more.
--
-- KEYS: lease. ARGV: worker, epoch, after how many ms. Returns 1 where the lease was ours.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'worker')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[1] then return 0 end
local time, after_ms = redis.call('TIME'), tonumber(ARGV[3])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Not 0: the turn has not ended, and may be told things.
redis.call('HSET', KEYS[1], 'until', after_ms > 0 and now + after_ms or 1)
redis.call('HINCRBY', KEYS[1], 'takeovers', -1) -- no worker was lost
return 1
