// SPDX-License-Identifier: MIT
// Objects, closures, regular expressions, JSON and string building in an engine for small devices.
var seed = 9;
function random(n) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor(seed / 65536) % n;
}
var kept = [], total = 0;
for (var round = 0; round < 30; round++) {
    var rows = [];
    for (var i = 0; i < 120; i++) {
        rows.push({ id: i, name: 'sensor ' + random(1000), values: [random(9), random(99), random(999)] });
    }
    var text = JSON.stringify(rows);
    var back = JSON.parse(text).filter(function (row) { return row.values[0] > 3; });
    kept[random(12)] = back;
    total += text.replace(/sensor (\d+)/g, function (all, digits) { return 's' + digits.length; }).length;
    total += back.map(function (row) { return row.name.split(' ').reverse().join('-'); }).sort().join().length;
}
print(total, kept.length);
