-- Keep evidence and report, unless another leads by now.
--
-- KEYS  1 the highest token that was ever given out, 2 what was kept.
-- ARGV  1 token, 2 evidence, 3 report, 4 seconds that they are kept.
-- Returns false, or the token of whoever leads.
local highest = redis.call('GET', KEYS[1]) or '0'
if tonumber(ARGV[1]) < tonumber(highest) then
    return highest
end
redis.call('HSET', KEYS[2], 'evidence', ARGV[2], 'report', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return false
