-- Adds records in JSON (`metrics.delta`) to others; first part of the scripts beside it.
local function decoded(json)
    local ok, value = pcall(cjson.decode, json)
    if ok and type(value) == 'table' then return value end
    return nil
end

local function added(held, json)
    local sum, new = held and decoded(held), decoded(json)
    if not new then return held end
    if not sum then return json end
    sum.c, sum.h, sum.m = sum.c or {}, sum.h or {}, sum.m or {}
    for name, amount in pairs(new.c or {}) do
        sum.c[name] = (sum.c[name] or 0) + amount
    end
    for name, value in pairs(new.m or {}) do
        sum.m[name] = math.max(sum.m[name] or value, value)
    end
    for name, histogram in pairs(new.h or {}) do
        local mine = sum.h[name]
        if mine then
            mine[1] = mine[1] + histogram[1]
            for bin, count in pairs(histogram[2]) do
                mine[2][bin] = (mine[2][bin] or 0) + count
            end
        else
            sum.h[name] = histogram
        end
    end
    return cjson.encode(sum)
end

-- Sets the highest number that a writer was heard with; says which of its numbers are new.
local function heard_before(key, keep_ms)
    local last = tonumber(redis.call('GET', key) or 0) or 0
    return function(number)
        if number <= last then return true end
        last = number
        redis.call('SET', key, string.format('%.0f', number), 'PX', keep_ms)
        return false
    end
end
