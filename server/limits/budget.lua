-- A day's budget.
-- KEYS[1]  hash: 'day' its number since 1970 (UTC), 'spent' of it, 'r:<name>' what is reserved
-- ARGV     1 'reserve', 'settle' or 'spend'  2 name of a reservation  3 amount  4 limit
-- Returns  { 1 granted or 0 refused, spent, seconds until the next day }
local now = tonumber(redis.call('TIME')[1])
local day = math.floor(now / 86400)
local left = 86400 - now % 86400
if tonumber(redis.call('HGET', KEYS[1], 'day') or -1) ~= day then
  redis.call('DEL', KEYS[1])
end

local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or 0)
local name, amount, change = 'r:' .. ARGV[2], tonumber(ARGV[3]), 0
if ARGV[1] == 'reserve' then
  if redis.call('HEXISTS', KEYS[1], name) == 0 then
    local limit = tonumber(ARGV[4])
    if spent + math.min(amount, limit) > limit then
      return { 0, spent, left }
    end
    redis.call('HSET', KEYS[1], name, ARGV[3])
    change = amount
  end
elseif ARGV[1] == 'settle' then
  local reserved = redis.call('HGET', KEYS[1], name)
  if reserved then
    redis.call('HDEL', KEYS[1], name)
    change = amount - reserved
  end
else
  change = amount
end

if change ~= 0 then
  spent = spent + change
  redis.call('HSET', KEYS[1], 'day', day, 'spent', string.format('%.0f', spent))
  redis.call('EXPIRE', KEYS[1], left)
end
return { 1, spent, left }
