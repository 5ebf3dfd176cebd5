// Tables as columns.h writes them. Figures stay the texts that the CSV files have; what is drawn is
// made of them when it is needed.
'use strict';

class Table {
  constructor(json) {
    this.rows = json.rows;
    this.names = Object.keys(json.columns);
    this.encoded = json.columns;
    this.decoded = {};
    this.parsed = {};
  }

  // All texts of a column.
  texts(name) {
    if (!(name in this.decoded)) this.decoded[name] = decodeColumn(this.encoded[name], this.rows);
    return this.decoded[name];
  }

  text(name, row) {
    return this.texts(name)[row];
  }

  // All numbers of a column: NaN for what is undefined, Infinity for "inf".
  numbers(name) {
    if (!(name in this.parsed)) this.parsed[name] = this.texts(name).map(numberOf);
    return this.parsed[name];
  }

  number(name, row) {
    return this.numbers(name)[row];
  }

  all() {
    return Array.from({length: this.rows}, (_, row) => row);
  }

  // This table with the rows of another, which replace those with the same number in `key` or come
  // between them, in the order of these numbers.
  with(other, key) {
    const rows = new Map();
    for (const table of [this, other]) {
      for (let row = 0; row < table.rows; ++row) rows.set(table.number(key, row), [table, row]);
    }
    const order = [...rows.keys()].sort((a, b) => a - b).map((number) => rows.get(number));
    const merged = new Table({rows: order.length, columns: {}});
    merged.names = this.names;
    for (const name of this.names) {
      merged.decoded[name] = order.map(([table, row]) => table.text(name, row));
    }
    return merged;
  }
}

function decodeColumn(column, rows) {
  if (rows === 0) return [];
  if (typeof column === 'string') return column.split(',');
  if (!('at' in column)) return new Array(rows).fill(column.of[0]);
  return column.at.split(',').map((at) => column.of[at]);
}

function numberOf(text) {
  if (text === '') return NaN;
  if (text === 'inf') return Infinity;
  if (text === '-inf') return -Infinity;
  return Number(text);
}

// For people: four significant digits.
function readable(text) {
  const number = numberOf(text);
  if (text === '') return '-';
  if (!Number.isFinite(number) || Number.isInteger(number)) return text;
  return String(Number(number.toPrecision(4)));
}

// Short names of rates, with as many digits as it takes to tell them apart.
function rateLabels(rates) {
  for (let digits = 1; ; ++digits) {
    const labels = new Map(rates.map((text) => [text, rateLabel(text, digits)]));
    if (digits >= 15 || new Set(labels.values()).size === labels.size) return labels;
  }
}

function rateLabel(text, digits) {
  const number = numberOf(text);
  return number > 0 ? number.toExponential(digits).replace(/\.?0+e/, 'e') : text;
}
