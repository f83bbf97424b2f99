"""What runs inside Redis for the cache of vectors: each script sees one book at one instant.

Keys of a book, all with the hash tag `{book}`, so that they live on one node of a cluster. A
timestamp is a field or a member, in whole microseconds since 1970, and never part of a key:

- `features`, a hash from timestamp to entry, which begins with the time that its caller put it
  at, eight bytes, little-endian;
- `features:order`, a sorted set of timestamps by when they were put by the clock of the server:
  what goes first when the cache is full;
- `features:times`, a sorted set of timestamps by themselves: which is the newest.

An entry is fresh while it is younger than the time to live by two clocks: that of the callers,
who may live on hosts whose clocks differ, and that of the server, which is one. An entry that
either clock takes to be from the future has an age that nobody can tell, and is not served.
Reading writes nothing, so it goes on where a server takes no writes. Scripts read before they
write, so that Redis refuses (memory, disk, replica, type) before anything is written.
"""

from stores.redis_script import Script

__all__ = ["LATEST", "PUT", "READ"]

# ARGV of every script, times in microseconds: 1 attempt, 2 now, 3 time to live, 4 jitter of
# clocks, 5 what was put before this, by the server's clock, is not trusted ('' for now).
_CACHE = """
local ENTRIES, ORDER, TIMES = unpack(KEYS)
local now, life, jitter = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local here = clock[1] * 1000000 + clock[2]
local trusted = tonumber(ARGV[5]) or here

local function word(number) return string.format('%.0f', number) end

-- By both clocks: how old it is, or nothing when it is damaged.
local function ages(entry, stored)
  if not entry or #entry < 8 or not stored then return nil end
  return now - struct.unpack('<i8', entry), here - stored
end

local function fresh(timestamp)
  local stored = tonumber(redis.call('ZSCORE', ORDER, timestamp))
  local entry = redis.call('HGET', ENTRIES, timestamp)
  local by_caller, by_server = ages(entry, stored)
  return by_caller and stored >= trusted
    and by_caller < life and by_caller >= -jitter
    and by_server < life and by_server >= -jitter and entry
end
"""

READ = Script(
    f"""{_CACHE}
local found = {{word(here)}}
for i = 6, #ARGV do found[i - 4] = fresh(ARGV[i]) or false end
return found
"""
)
"""Entries by timestamp. ARGV: from 6 on the timestamps.

Replies the server's clock, then each entry or nil.
"""

LATEST = Script(
    f"""{_CACHE}
local looked = 0
while true do
  local page = redis.call('ZREVRANGE', TIMES, looked, looked + 99)
  for _, timestamp in ipairs(page) do
    local entry = fresh(timestamp)
    if entry then return {{word(here), timestamp, entry}} end
  end
  looked = looked + #page
  if #page < 100 then return {{word(here)}} end
end
"""
)
"""The fresh entry with the newest timestamp.

Replies the server's clock, then, if there is one, its timestamp and the entry.
"""

PUT = Script(
    _CACHE
    + """
local function drop(timestamp)
  redis.call('HDEL', ENTRIES, timestamp)
  redis.call('ZREM', ORDER, timestamp)
  redis.call('ZREM', TIMES, timestamp)
end

local last = redis.call('ZREVRANGE', ORDER, 0, 0, 'WITHSCORES')
local newest, size = tonumber(last[2] or '0'), redis.call('HLEN', ENTRIES)
-- A part was lost, or the server's clock has jumped back: what is there is of no use.
if size ~= redis.call('ZCARD', ORDER) or size ~= redis.call('ZCARD', TIMES)
  or newest > here + jitter then
  redis.call('DEL', ENTRIES, ORDER, TIMES)
  newest = 0
end

while true do
  local oldest = redis.call('ZRANGE', ORDER, 0, 0, 'WITHSCORES')
  if not oldest[1] then break end
  local by_caller, by_server = ages(
    redis.call('HGET', ENTRIES, oldest[1]), tonumber(oldest[2]))
  if by_caller and by_caller < life and by_server < life then break end
  drop(oldest[1])
end

for i = 7, #ARGV, 3 do
  local timestamp, age, entry = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local known = tonumber(redis.call('ZSCORE', ORDER, timestamp))
  local stored = here - age
  if age == 0 then
    stored = math.max(here, newest + 1)
    newest = stored
  end
  if age < life and not (known and known > stored) then
    redis.call('HSET', ENTRIES, timestamp, entry)
    redis.call('ZADD', ORDER, word(stored), timestamp)
    redis.call('ZADD', TIMES, timestamp, timestamp)
  end
end

local evicted = 0
for _ = 1, redis.call('HLEN', ENTRIES) - tonumber(ARGV[6]) do
  drop(redis.call('ZRANGE', ORDER, 0, 0)[1])
  evicted = evicted + 1
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, word(math.ceil(life / 1000))) end
return {word(here), evicted}
"""
)
"""Keep entries. ARGV: 6 entries kept at most, then of each its timestamp, for how long it has
been lying elsewhere, and the entry. What was put later under the same timestamp stays.

Replies the server's clock, and how many were evicted. A second attempt puts the same again.
"""
