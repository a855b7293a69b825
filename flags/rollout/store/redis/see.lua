-- What is held of a flag in an epoch, at one moment.
--
-- KEYS  1 the epoch's counts, 2 and 3 the users of both arms, 4 and 5 their failures of each user,
--       6 the workers' beats, 7 what was kept.
-- Returns the time (seconds, microseconds), the counts (name, number, …), users on, users off,
-- failing users on, failing users off, the beats (worker, «version milliseconds», …), evidence, report.
local kept = redis.call('HMGET', KEYS[7], 'evidence', 'report')
return {
    redis.call('TIME'),
    redis.call('HGETALL', KEYS[1]),
    redis.call('SCARD', KEYS[2]),
    redis.call('SCARD', KEYS[3]),
    redis.call('HLEN', KEYS[4]),
    redis.call('HLEN', KEYS[5]),
    redis.call('HGETALL', KEYS[6]),
    kept[1],
    kept[2],
}
