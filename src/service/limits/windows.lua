-- Sliding windows of several keys in one round trip, by the server's own clock. A key is a list of the times of its calls in
-- milliseconds, oldest first, as long as its largest limit.
-- KEYS: the keys. ARGV, for each key: how many windows it has, then length (ms) and limit of each.
-- Gives 1 where the call was counted and 0 where it was refused, then for each window the calls within it and the
-- milliseconds until the oldest of them leaves.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told, kept, allowed, at = {0}, {}, true, 1

for i, key in ipairs(KEYS) do
  local length = redis.call('LLEN', key)
  -- The clock may have been set back: a list stays in order.
  if length > 0 then now = math.max(now, tonumber(redis.call('LINDEX', key, -1))) end
end

for i, key in ipairs(KEYS) do
  local length = redis.call('LLEN', key)
  local most, longest = 1, 1
  local windows = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, windows do
    local window, limit = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
    at = at + 2
    most, longest = math.max(most, limit), math.max(longest, window)
    -- How many of the newest calls are within the window: no more than its limit are of interest.
    local low, high = 0, math.min(length, limit)
    while low < high do
      local middle = math.floor((low + high + 1) / 2)
      if now - tonumber(redis.call('LINDEX', key, -middle)) < window then low = middle else high = middle - 1 end
    end
    local reset = 0
    if low > 0 then reset = tonumber(redis.call('LINDEX', key, -low)) + window - now end
    if low >= limit then allowed = false end
    told[#told + 1] = low
    told[#told + 1] = reset
  end
  kept[i] = {most, longest}
end

if allowed then
  told[1] = 1
  for i, key in ipairs(KEYS) do
    redis.call('RPUSH', key, string.format('%d', now))
    redis.call('LTRIM', key, -kept[i][1], -1)
    redis.call('PEXPIRE', key, kept[i][2])
  end
end
return told
