-- Note whether one worker has readers of some turns; their holders hear of it where that is new.
--
-- KEYS: for each turn its readers. ARGV: worker, for how many ms it is good (0: none reads any more),
-- channel; then the turn of each.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, good_ms, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3]
for place, readers in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', readers, '-inf', now)
    local changed
    if good_ms > 0 then
        changed = redis.call('ZADD', readers, now + good_ms, worker)
        redis.call('PEXPIRE', readers, good_ms)
    else
        changed = redis.call('ZREM', readers, worker)
    end
    if changed == 1 then redis.call('PUBLISH', channel, ARGV[3 + place]) end
end
