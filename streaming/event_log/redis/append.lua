-- Append batches of frames to the logs of one worker's turns, and renew its leases on them.
--
-- KEYS: for each turn its lease, its log, its commands, its readers elsewhere.
-- ARGV: worker, lease in ms, how long to keep the keys in ms, channel; then for each turn:
--       turn id, epoch held, seq before which the log has nothing, epoch of the frames, epoch of the
--       entry before them, first seq, last seq, ended (1 or 0), whether to tell who reads (1 or 0),
--       frames.
--       No frames: the lease is renewed only.
-- Returns: the server's time in ms; then for each turn {status, number, ms, command, ...}:
--       "held" (number: last seq of the log), "fenced" (number: the epoch that has the turn now),
--       "repeated" (the same; it had these entries already), "gap" (number: last seq of the log; send
--       again what follows it). The turn is known to be
--       read elsewhere for so many ms; -1: that was not asked.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local worker, lease_ms, keep_ms, channel = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local answers, woken = {now}, {}

for turn = 1, #KEYS / 4 do
    local lease, log = KEYS[4 * turn - 3], KEYS[4 * turn - 2]
    local commands, readers = KEYS[4 * turn - 1], KEYS[4 * turn]
    local at = 4 + 10 * (turn - 1)
    local turn_id, epoch, base = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local written, before = ARGV[at + 4], ARGV[at + 5]
    local first, last = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
    local ended, asks, frames = ARGV[at + 8] == '1', ARGV[at + 9] == '1', ARGV[at + 10]
    local held = redis.call('HMGET', lease, 'epoch', 'worker', 'last')
    local held_epoch, have = tonumber(held[1]), math.max(tonumber(held[3]) or 0, base)

    if held_epoch and (held_epoch > epoch or (held_epoch == epoch and held[2] ~= worker)) then
        answers[#answers + 1] = {'fenced', held_epoch, -1}
    else
        local status = 'held'
        -- Without a lease nobody knows where a log ends: what is left of it would refuse its entries.
        if not held_epoch then redis.call('DEL', log) end
        if frames ~= '' and have >= last then
            status = 'repeated'
        elseif frames ~= '' then
            if have == first - 1 then
                redis.call('XADD', log, last .. '-0', 'e', written, 'p', before, 's', first, 'f', frames)
                have = last
                woken[#woken + 1] = turn_id
            else
                status = 'gap'
            end
        end
        local live_until = now + lease_ms
        if ended and status ~= 'gap' then live_until = 0 end
        redis.call('HSET', lease, 'epoch', epoch, 'worker', worker, 'until', live_until, 'last', have)
        redis.call('PEXPIRE', lease, keep_ms)
        redis.call('PEXPIRE', log, keep_ms)
        local read_ms = -1
        if asks then
            local latest = redis.call('ZRANGE', readers, 0, 0, 'REV', 'WITHSCORES')[2]
            read_ms = math.max(0, (tonumber(latest) or 0) - now)
        end
        local answer = {status, have, read_ms}
        for _, command in ipairs(redis.call('LRANGE', commands, 0, -1)) do
            answer[#answer + 1] = command
        end
        answers[#answers + 1] = answer
    end
end

if #woken > 0 then redis.call('PUBLISH', channel, table.concat(woken, ' ')) end
return answers
