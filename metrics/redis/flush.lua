-- Take what a worker has recorded, once, and tell it what has changed since it last heard.
--
-- KEYS: the worker's number, the slots by when they changed, the workers that live.
-- ARGV: what all keys begin with, worker, version heard, window in ms, slot in ms, for how long a
--       worker lives without a word in ms, 1 where it leaves, its uptime in ms and its gauges (parted
--       by blanks); then for each batch: number, age in ms, JSON.
-- Returns: the server's time in ms, the version heard now, {workers, longest and shortest uptime in ms,
--       the sum of each gauge ...} as text, the slot of each batch as text (-1: it was here before,
--       or is too old), and the slots that others have changed: number, JSON, ...
-- The keys of slots are not named: which they are is up to this server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, worker, seen = ARGV[1], ARGV[2], tonumber(ARGV[3])
local window_ms, slot_ms, live_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local keep_ms = window_ms + 60000
local function slot_key(slot) return prefix .. 'slot:' .. slot end

local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
local version = math.max((tonumber(last) or 0) + 1, now * 1000)
-- Whoever has heard of a version that is not here has heard it of a Redis that lost it.
if seen > version - 1 and not (last and seen == tonumber(last)) then seen = 0 end
local changed = {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', seen), '+inf')) do
    changed[slot] = true
end

local is_heard = heard_before(KEYS[1], 3600000)
local places, is_changed = {}, false
for at = 9, #ARGV, 3 do
    local age = tonumber(ARGV[at + 1])
    local place = '-1'
    if not is_heard(tonumber(ARGV[at])) and age < window_ms then
        place = string.format('%.0f', math.floor((now - age) / slot_ms))
        local key = slot_key(place)
        local held = redis.call('GET', key)
        redis.call('SET', key, added(held or nil, ARGV[at + 2]) or '{}', 'PX', keep_ms)
        redis.call('ZADD', KEYS[2], string.format('%.0f', version), place)
        is_changed = true
    end
    places[#places + 1] = place
end
if is_changed then
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', (now - 2 * window_ms) * 1000))
    redis.call('PEXPIRE', KEYS[2], keep_ms)
else
    version = tonumber(last) or 0
end

if ARGV[7] == '1' then
    redis.call('HDEL', KEYS[3], worker)
else
    redis.call('HSET', KEYS[3], worker, string.format('%.0f', now) .. ' ' .. ARGV[8])
    redis.call('PEXPIRE', KEYS[3], keep_ms)
end
local workers, longest, shortest, gauges = 0, 0, nil, {}
local everyone = redis.call('HGETALL', KEYS[3])
for at = 1, #everyone, 2 do
    local numbers = {}
    for number in string.gmatch(everyone[at + 1], '%S+') do numbers[#numbers + 1] = tonumber(number) or 0 end
    if math.abs(now - (numbers[1] or 0)) > live_ms then
        redis.call('HDEL', KEYS[3], everyone[at])
    else
        local uptime = numbers[2] or 0
        workers, longest, shortest = workers + 1, math.max(longest, uptime), math.min(shortest or uptime, uptime)
        for place = 3, #numbers do gauges[place - 2] = (gauges[place - 2] or 0) + numbers[place] end
    end
end
local live = {workers, longest, shortest or 0}
for _, sum in ipairs(gauges) do live[#live + 1] = sum end

local told = {}
local oldest = math.floor(now / slot_ms) - window_ms / slot_ms
for slot in pairs(changed) do
    local json = tonumber(slot) >= oldest and redis.call('GET', slot_key(slot))
    if json then
        told[#told + 1] = slot
        told[#told + 1] = json
    end
end
return {now, string.format('%.0f', version), table.concat(live, ' '), table.concat(places, ' '), told}
