-- SPDX-License-Identifier: MIT
-- What scripts in devices do: parse text into tables, index them, build strings, run closures and
-- coroutines, let most of it go again.
local seed = 42
local function random(n)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n
end

local words = {"pool", "block", "heap", "page", "region", "free", "split", "merge", "sensor", "timer"}

local function record_line(i)
    local parts = {"id=" .. i}
    for _ = 1, 1 + random(8) do
        parts[#parts + 1] = words[1 + random(#words)] .. "=" .. random(10000)
    end
    return table.concat(parts, ";")
end

local function record_parse(line)
    local record = {}
    for key, value in line:gmatch("(%w+)=(%w+)") do
        record[key] = tonumber(value)
    end
    return record
end

local index, kept = {}, {}
for round = 1, 40 do
    for i = 1, 150 do
        local record = record_parse(record_line(round * 1000 + i))
        for key in pairs(record) do
            index[key] = index[key] or {}
            table.insert(index[key], record)
        end
        kept[random(600)] = record
    end
    for _, list in pairs(index) do
        while #list > 100 do
            table.remove(list, 1 + random(#list))
        end
    end
    local walker = coroutine.wrap(function()
        for key, record in pairs(kept) do
            coroutine.yield(key .. ":" .. (record.id or 0))
        end
    end)
    local text = {}
    for line in walker do
        text[#text + 1] = line:upper():gsub("%d+", function(digits) return #digits end)
    end
    table.sort(text)
    io.write(#table.concat(text, "\n"), " ")
end
print()
