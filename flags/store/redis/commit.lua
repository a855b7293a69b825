-- One write: version check, claim, definitions, audit and announcement hold together or not at all.
--
-- KEYS  version, definitions, an audit stream for each entry, then the claim's key if there is one,
--       then the fence's if there is one.
-- ARGV  1 expected version, 2 new version, 3 channel, 4 entries kept in a stream (about),
--       5 the claim's change hash or '', 6 seconds that a claim lives, 7 definitions for the claim,
--       8 the fence's token or '',
--       9 number of definitions, then of each its name, 'set' or 'delete', and its JSON;
--       then the audit entries, in the order of their streams.
-- Returns one of
--   held, version | conflict, version | earlier, version, definitions | mismatch | fenced, token
--   | ahead, stream, version

local version_key, definitions_key = KEYS[1], KEYS[2]
local expected, version, channel, kept = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local change, claim_s, claimed = ARGV[5], ARGV[6], ARGV[7]
local token = ARGV[8]
local definitions = tonumber(ARGV[9])
local fence_key = token ~= '' and KEYS[#KEYS] or nil
local others = #KEYS - (fence_key and 1 or 0)
local claim_key = change ~= '' and KEYS[others] or nil
local streams = others - 2 - (claim_key and 1 or 0)

-- Invariant: whatever can fail is asked before the first write, for a script that fails is not undone.

if claim_key then
    local earlier = redis.call('HMGET', claim_key, 'change', 'version', 'definitions')
    if earlier[1] == change then
        return {'earlier', earlier[2], earlier[3]}
    elseif earlier[1] then
        return {'mismatch'}
    end
end

if fence_key then
    local highest = redis.call('GET', fence_key) or '0'
    if tonumber(token) < tonumber(highest) then
        return {'fenced', highest}
    end
end

local current = redis.call('GET', version_key) or '0'
if current ~= expected then
    return {'conflict', current}
end

redis.call('HLEN', definitions_key) -- fails if it is no hash
for i = 1, streams do
    local stream = KEYS[2 + i]
    if redis.call('EXISTS', stream) == 1 then
        local facts = redis.call('XINFO', 'STREAM', stream)
        for fact = 1, #facts, 2 do
            if facts[fact] == 'last-generated-id' then
                local last = string.match(facts[fact + 1], '^%d+')
                if tonumber(last) >= tonumber(version) then
                    return {'ahead', stream, last}
                end
            end
        end
    end
end

redis.call('SET', version_key, version)
if fence_key then
    redis.call('SET', fence_key, token) -- a server that lost it knows it again
end
for i = 0, definitions - 1 do
    local name, verb, json = ARGV[10 + 3 * i], ARGV[11 + 3 * i], ARGV[12 + 3 * i]
    if verb == 'set' then
        redis.call('HSET', definitions_key, name, json)
    else
        redis.call('HDEL', definitions_key, name)
    end
end
for i = 1, streams do
    local entry = ARGV[9 + 3 * definitions + i]
    redis.call('XADD', KEYS[2 + i], 'MAXLEN', '~', kept, version .. '-0', 'entry', entry)
end
if claim_key then
    redis.call('HSET', claim_key, 'change', change, 'version', version, 'definitions', claimed)
    redis.call('EXPIRE', claim_key, claim_s)
end
redis.call('PUBLISH', channel, version)
return {'held', version}
