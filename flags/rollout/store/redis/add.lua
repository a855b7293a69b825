-- Add a worker's batch, once, and note that the worker lives.
--
-- KEYS  1 the last number of the worker, 2 the workers' beats; then of each arm of each epoch four:
--       the epoch's counts, this arm's users, the other arm's, this arm's failures of each user.
-- ARGV  1 worker, 2 the batch's number, 3 version that the worker serves, 4 seconds that all is kept,
--       5 seconds after which a worker is gone, 6 failures counted of one user, 7 users counted,
--       8 what was counted, JSON: a list, in the order of the keys, of
--         {arm, sums: {name: number}, failures: [[user, is_error, ttft_us, bin]], users: [user]}
-- Returns 1, or 0 where the batch was added before.

local sent_key, beats_key = KEYS[1], KEYS[2]
local worker, number, version = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local kept_s, gone_ms = ARGV[4], tonumber(ARGV[5]) * 1000
local per_user, most_users = tonumber(ARGV[6]), tonumber(ARGV[7])
local counted = cjson.decode(ARGV[8])

-- Invariant: whatever can fail is asked before the first write, for a script that fails is not undone.
local last = redis.call('GET', sent_key) or '0'
redis.call('HLEN', beats_key)
-- A batch's users are counted in both arms or in none: else one would lack more than the other.
local takes_users = {}
for i = 1, #counted do
    local at = 3 + 4 * (i - 1)
    redis.call('HLEN', KEYS[at])
    local users = redis.call('SCARD', KEYS[at + 1]) + redis.call('SCARD', KEYS[at + 2])
    takes_users[i] = users < most_users
    redis.call('HLEN', KEYS[at + 3])
end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local beats = redis.call('HGETALL', beats_key)
for i = 1, #beats, 2 do
    local at_ms = tonumber(string.match(beats[i + 1], '%d+$') or '0')
    if now_ms - at_ms > gone_ms then
        redis.call('HDEL', beats_key, beats[i])
    end
end
redis.call('HSET', beats_key, worker, version .. ' ' .. string.format('%.0f', now_ms))
redis.call('EXPIRE', beats_key, kept_s)
if number <= tonumber(last) then
    return 0
end
redis.call('SET', sent_key, ARGV[2], 'EX', kept_s)

local function grown(sums, name, by)
    sums[name] = (sums[name] or 0) + by
end

for i = 1, #counted do
    local at, part = 3 + 4 * (i - 1), counted[i]
    local counts, users, failures = KEYS[at], KEYS[at + 1], KEYS[at + 3]
    local sums = part.sums
    local known = redis.call('HLEN', failures)
    for _, failure in ipairs(part.failures) do
        local user, is_error, ttft_us, bin = failure[1], failure[2], failure[3], failure[4]
        local had = tonumber(redis.call('HGET', failures, user) or '0')
        if had < per_user then
            -- Beyond the bound nobody's failures are remembered; they count all the same.
            if had > 0 or known < most_users then
                redis.call('HINCRBY', failures, user, 1)
                known = known + (had == 0 and 1 or 0)
            end
            grown(sums, 'n', 1)
            grown(sums, 'non_success', 1)
            grown(sums, 'errors', is_error and 1 or 0)
            grown(sums, 'ttft_us', ttft_us)
            grown(sums, 't' .. bin, 1)
        end
    end
    for name, by in pairs(sums) do
        if by ~= 0 then
            redis.call('HINCRBY', counts, part.arm .. ':' .. name, by)
        end
    end
    if takes_users[i] then
        for _, user in ipairs(part.users) do
            redis.call('SADD', users, user)
        end
    end
    for j = at, at + 3 do
        redis.call('EXPIRE', KEYS[j], kept_s)
    end
end
return 1
