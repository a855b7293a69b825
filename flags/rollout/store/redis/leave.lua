-- Give the lease back, and end a worker's beats.
--
-- KEYS  1 lease, then the beats of each flag.
-- ARGV  1 worker.
if redis.call('HGET', KEYS[1], 'worker') == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
for i = 2, #KEYS do
    redis.call('HDEL', KEYS[i], ARGV[1])
end
return 1
