"""What runs inside Redis: each script reads and writes one book at one instant.

Keys of a book, all with the hash tag `{book}`, so that they live on one node of a cluster:

- `head`, a hash: layout version, sequence and hash of the newest event, the state and its
  sequence, and how many idempotency keys are bound;
- `events`, a stream with one entry per event, `SEQUENCE-0`, which Redis itself keeps in order;
- `ids` and `keys`, hashes from an event's id or idempotency key to its sequence;
- `kinds`, a sorted set of `KIND:SEQUENCE` in alphabetical order: the events of a kind.

Every script but `SCAN`, which shows what is there, is told the head that its caller knows, and
first looks whether that one is still part of this book: a store that lost records never passes
for one that has none yet. The first word of a reply says what came of it. Scripts read before
they write, so that Redis refuses (memory, disk, replica, type) before anything is written. A
page of events ends after a megabyte, so that nobody else waits long.
"""

from stores.redis_script import Script

__all__ = ["APPEND", "CREATE", "FIND", "HEAD", "LAYOUT", "RECENT", "SCAN"]

LAYOUT = "1"
"""Version of the keys above; another one is not read."""


# ARGV of every script: 1 attempt, 2 known sequence, 3 known hash, 4 known state's sequence.
_BOOK = """
local HEAD, EVENTS, IDS, BOUND, KINDS = unpack(KEYS)
local head = redis.call('HMGET', HEAD, 'version', 'sequence', 'hash', 'state_sequence', 'keys')
local sequence, known = tonumber(head[2]), tonumber(ARGV[2])

local function fields_of(entry)
  local record = {at = string.match(entry[1], '^%d+')}
  for i = 1, #entry[2], 2 do record[entry[2][i]] = entry[2][i + 1] end
  return record
end

local function record(at)
  local found = redis.call('XRANGE', EVENTS, at, at, 'COUNT', 1)
  return found[1] and fields_of(found[1])
end

local function name_in_kinds(kind, at)
  return string.format('%s:%016.0f', kind, tonumber(at))
end

local function is_known()
  if known == 0 then return true end
  if sequence < known then return false end
  if sequence == known then return head[3] == ARGV[3] end
  local there = record(ARGV[2])
  return there and there.hash == ARGV[3]
end

local function fault()
  if not head[1] then
    if redis.call('EXISTS', unpack(KEYS)) > 0 then
      return {'damaged', 'it has records but no head'}
    elseif known > 0 then
      return {'regressed', '0', ''}
    end
    return {'absent'}
  elseif head[1] ~= 'LAYOUT' then
    return {'version', head[1]}
  elseif not (sequence and head[3] and tonumber(head[4]) and tonumber(head[5])) then
    return {'damaged', 'its head is incomplete'}
  elseif not is_known() then
    return {'regressed', head[2], head[3]}
  end
end

local function newest_loss()
  local name = redis.call('ZREVRANGEBYLEX', KINDS, '(reconciled;', '[reconciled:', 'LIMIT', 0, 1)[1]
  local there = name and record(string.format('%.0f', tonumber(string.match(name, '%d+$'))))
  return there and there.hash or ''
end

local function whole_head()
  if sequence == known and head[3] == ARGV[3] then return {'same'} end
  local newest = redis.call('XREVRANGE', EVENTS, '+', '-', 'COUNT', 1)[1]
  newest = newest and fields_of(newest) or {at = '0', hash = head[3]}
  if newest.at ~= head[2] or newest.hash ~= head[3] then
    return {'damaged', 'its newest record is ' .. newest.at .. ' ' .. tostring(newest.hash)
      .. ', but the head says ' .. head[2] .. ' ' .. head[3]}
  end
  local state = ''
  if head[4] ~= ARGV[4] then state = redis.call('HGET', HEAD, 'state') or '' end
  return {'head', head[2], head[3], head[4], state, newest_loss()}
end

local function as_event(found)
  return {found.at, found.kind or '', found.previous or '', found.hash or '', found.body or ''}
end
""".replace("LAYOUT", LAYOUT)

_GUARDED = f"""{_BOOK}
local trouble = fault()
if trouble then return trouble end
"""

HEAD = Script(f"{_GUARDED}return whole_head()\n")
"""The head, if it is not the known one: with the state, if that is not the known one, and with
the hash of the newest event by which a person accepted a loss of records.
"""

CREATE = Script(
    """
if redis.call('EXISTS', unpack(KEYS)) > 0 then return {'there'} end
redis.call('HSET', KEYS[1], 'version', ARGV[5], 'sequence', 0, 'hash', ARGV[3],
  'state_sequence', ARGV[4], 'state', ARGV[6], 'keys', 0)
return {'created'}
"""
)
"""Give a book its head, unless it has any key. ARGV: 5 layout, 6 state."""

APPEND = Script(
    _GUARDED
    + """
-- The answer to the first attempt was lost: it may have been stored.
if ARGV[1] ~= '1' then
  local at = redis.call('HGET', IDS, ARGV[9])
  local there = at and record(at)
  if there and there.hash == ARGV[11] then return {'stored'} end
end
if sequence ~= known then return whole_head() end

local keys = tonumber(head[5])
local events, ids = redis.call('XLEN', EVENTS), redis.call('HLEN', IDS)
local kinds, bound = redis.call('ZCARD', KINDS), redis.call('HLEN', BOUND)
if events ~= known or ids ~= known or kinds ~= known or bound ~= keys then
  return {'damaged', string.format(
    'it has %.0f events, %.0f ids, %.0f kinds and %.0f keys; %.0f, %.0f, %.0f and %.0f are due',
    events, ids, kinds, bound, known, known, known, keys)}
end
for i = 7, #ARGV, 6 do
  if redis.call('HEXISTS', IDS, ARGV[i + 2]) == 1 then
    return {'taken', 'event id', ARGV[i + 2]}
  elseif ARGV[i + 3] ~= '' and redis.call('HEXISTS', BOUND, string.sub(ARGV[i + 3], 2)) == 1 then
    return {'taken', 'key', string.sub(ARGV[i + 3], 2)}
  end
end

local previous = ARGV[3]
for i = 7, #ARGV, 6 do
  local at, kind, id, key, hash, body = unpack(ARGV, i, i + 5)
  local fields = {'kind', kind, 'id', id, 'previous', previous, 'hash', hash, 'body', body}
  if key ~= '' then
    key = string.sub(key, 2)
    fields[11], fields[12] = 'key', key
  end
  redis.call('XADD', EVENTS, at .. '-0', unpack(fields))
  redis.call('HSET', IDS, id, at)
  redis.call('ZADD', KINDS, 0, name_in_kinds(kind, at))
  if key ~= '' then
    redis.call('HSET', BOUND, key, at)
    keys = keys + 1
  end
  head[2], previous = at, hash
end
redis.call('HSET', HEAD, 'sequence', head[2], 'hash', previous, 'keys', keys)
if ARGV[6] ~= '' then
  redis.call('HSET', HEAD, 'state_sequence', ARGV[5], 'state', ARGV[6])
end
return {'stored'}
"""
)
"""Store events after the known head, or answer the newest one.

ARGV: 5 state's sequence, 6 state or '' if it stays; then of each event its sequence, kind, id,
key ('' for none, else '=' and the key), hash and body.
"""

FIND = Script(
    _GUARDED
    + """
local index = ARGV[5] == 'key' and BOUND or IDS
local at = redis.call('HGET', index, ARGV[6])
if not at then return {'nothing'} end
local there = record(at)
if not there or there[ARGV[5]] ~= ARGV[6] then
  return {'damaged', ARGV[5] .. ' ' .. ARGV[6] .. ' leads to record ' .. at .. ', which '
    .. (there and 'has another one' or 'is missing')}
end
return {'event', as_event(there)}
"""
)
"""An event by ARGV 5 'id' or 'key', 6 its value."""

RECENT = Script(
    _GUARDED
    + """
local limit, older = tonumber(ARGV[5]), ARGV[6]
local found = {}
for i = 7, #ARGV do
  local newest = '(' .. (older == '' and ARGV[i] .. ';' or name_in_kinds(ARGV[i], older))
  local names = redis.call('ZREVRANGEBYLEX', KINDS, newest, '[' .. ARGV[i] .. ':',
    'LIMIT', 0, limit)
  for _, name in ipairs(names) do found[#found + 1] = tonumber(string.match(name, '%d+$')) end
end
table.sort(found, function(one, other) return one > other end)
local events, bytes = {}, 0
for i = 1, math.min(limit, #found) do
  if bytes > 1048576 then return {'more', events} end
  local at = string.format('%.0f', found[i])
  local there = record(at)
  if not there then return {'damaged', 'record ' .. at .. ' is missing'} end
  events[i] = as_event(there)
  bytes = bytes + #events[i][5]
end
return {'all', events}
"""
)
"""Newest first. ARGV: 5 limit, 6 older than this sequence or '', then the kinds."""

SCAN = Script(
    _BOOK
    + """
local limit, first = tonumber(ARGV[6]), ARGV[5] .. '-0'
local records, bytes = {}, 0
while #records < limit do
  if bytes > 1048576 then return {'more', records} end
  local found = redis.call('XRANGE', EVENTS, first, '+', 'COUNT', 1)[1]
  if not found then break end
  local there = fields_of(found)
  local kind, id, key = there.kind or '', there.id or '', there.key
  if not redis.call('ZSCORE', KINDS, name_in_kinds(kind, there.at)) then kind = '' end
  if redis.call('HGET', IDS, id) ~= there.at then id = '' end
  if key and redis.call('HGET', BOUND, key) ~= there.at then key = nil end
  records[#records + 1] = {there.at, kind, id, key or false, there.hash or '', there.body or ''}
  bytes = bytes + #records[#records][6]
  first = '(' .. found[1]
end
return {'all', records}
"""
)
"""Oldest first. ARGV: 5 from this sequence on, 6 limit.

Whatever state the book is in. Kind, id and key are those that the indexes confirm; one that
they do not confirm is left empty.
"""
