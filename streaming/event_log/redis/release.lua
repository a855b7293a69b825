-- Give a turn away: its lease ends now, and whoever takes it next need not wait.
--
-- KEYS: lease. ARGV: worker, epoch. Returns 1 where the lease was ours.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'worker')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', 1) -- not 0: the turn has not ended, and may be told things
return 1
