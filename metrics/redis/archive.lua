-- Add figures to their periods, in all levels, once.
--
-- KEYS: the writer's number.
-- ARGV: what all keys begin with, how many levels; for each its name, its step in ms, how long to keep it
--       in ms; then for each batch: number, age in ms, JSON.
-- The keys of periods are not named: which they are is up to this server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, levels = ARGV[1], tonumber(ARGV[2])
local is_heard = heard_before(KEYS[1], 86400000)

for at = 3 + 3 * levels, #ARGV, 3 do
    if not is_heard(tonumber(ARGV[at])) then
        local began = now - tonumber(ARGV[at + 1])
        for level = 0, levels - 1 do
            local name, step_ms, keep_ms = ARGV[3 + 3 * level], ARGV[4 + 3 * level], ARGV[5 + 3 * level]
            local number = string.format('%.0f', math.floor(began / tonumber(step_ms)))
            local key = prefix .. name .. ':' .. number
            local held = redis.call('GET', key)
            redis.call('SET', key, added(held or nil, ARGV[at + 2]) or '{}', 'PX', keep_ms)
        end
    end
end
return now
