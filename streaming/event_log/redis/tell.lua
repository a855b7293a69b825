-- Leave a command for the holder of a turn, and wake it. Returns 1 where somebody holds the turn.
--
-- KEYS: lease, commands. ARGV: command, most commands kept, how long in ms, channel, turn id.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local live_until = tonumber(redis.call('HGET', KEYS[1], 'until')) or 0
if live_until == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return live_until > now and 1 or 2
