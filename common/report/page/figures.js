// Which rows each figure shows, what a reader may choose, and how it is drawn. The names are those
// of the sections that the page has.

// A choice narrows the rows to those with one value; `best` picks the first one shown.
const byVariant = (table) => ({name: 'Of', of: (row) => variantOf(table, row)});
const byPosition = (cells) => ({
  name: 'Bits', of: (row) => places(cells)[row].position,
  label: (position) => (position === '' ? 'all' : `bit ${position}`),
});
const byRateChoice = (cells) => ({
  name: 'BER', of: (row) => cells.text('ber', row), best: widestSpread, labels: rateLabels, sort: true,
});
const byMeasure = (names) => ({name: 'Measure', values: names, label: (name) => MEASURES[name]});

// The value at which the losses of its rows lie farthest apart.
function widestSpread(cells, groups) {
  let best = null;
  let widest = -1;
  for (const [value, rows] of groups) {
    const losses = rows.map((row) => cells.number('loss_mean', row));
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    const spread = losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / losses.length;
    if (spread > widest) [best, widest] = [value, spread];
  }
  return best;
}

function ofGranularity(cells, granularity, condition = () => true) {
  const granularities = cells.texts('granularity');
  return cells.all().filter((row) => granularities[row] === granularity && condition(row));
}

const ALL_MEASURES = Object.keys(MEASURES);

const FIGURES = {
  golden: {table: 'golden', draw: (t, rows) => drawGolden(t.golden, rows)},

  accuracy: {
    table: 'cells',
    rows: (t) => t.cells.all().filter((row) => t.cells.number('ber', row) > 0),
    choices: (t) => [{
      name: 'Granularity', of: (row) => t.cells.text('granularity', row),
      best: (cells, groups) => (groups.some(([name]) => name === 'model') ? 'model' : groups[0][0]),
    }],
    draw: (t, rows) => drawAccuracy(t.cells, rows),
  },

  blocks: {
    table: 'cells',
    rows: (t) => ofGranularity(t.cells, 'block'),
    choices: (t) => [byVariant(t.cells), byPosition(t.cells), byMeasure(ALL_MEASURES)],
    draw: (t, rows, {Measure}) => drawBlocks(t.cells, rows, Measure),
  },

  tensors: {
    table: 'cells',
    rows: (t) => ofGranularity(t.cells, 'tensor'),
    choices: (t) => [byVariant(t.cells), byPosition(t.cells), byRateChoice(t.cells), byMeasure(ALL_MEASURES)],
    draw: (t, rows, {Measure}) => drawTensors(t.cells, rows, Measure),
  },

  types: {
    table: 'cells',
    rows: (t) => ofGranularity(t.cells, 'type'),
    choices: (t) => [
      byVariant(t.cells), byPosition(t.cells),
      {name: 'In', of: (row) => (places(t.cells)[row].block === '' ? 'all blocks' : 'each block')},
      {...byRateChoice(t.cells), when: ({In}) => In === 'each block'},
      {...byMeasure(ALL_MEASURES), when: ({In}) => In === 'each block'},
    ],
    draw: (t, rows, {In, Measure}) =>
      In === 'each block' ? drawTypeMap(t.cells, rows, Measure) : drawTypeLines(t.cells, rows),
  },

  heads: {
    table: 'cells',
    rows: (t) => ofGranularity(t.cells, 'head', (row) => places(t.cells)[row].head >= 0),
    choices: (t) => [
      byVariant(t.cells), byPosition(t.cells), byRateChoice(t.cells), byType(t.cells),
      byMeasure(['vf', ...ALL_MEASURES.filter((name) => name !== 'vf')]),
    ],
    draw: (t, rows, {Measure}) => drawHeads(t.cells, rows, Measure),
  },

  mad: {
    table: 'cells',
    rows: (t) => {
      const measured = new Set(t.mad.numbers('cell'));
      return ofGranularity(t.cells, 'head', (row) => measured.has(t.cells.number('cell', row)));
    },
    choices: (t) => [
      byVariant(t.cells), byPosition(t.cells), byRateChoice(t.cells), byType(t.cells),
      {name: 'Distance', values: ['mad_px', 'mad_renormalised_px'],
       label: (name) => (name === 'mad_px' ? 'as it is' : 'renormalised')},
    ],
    draw: (t, rows, {Distance}) =>
      drawMad(t.cells, rows, t.mad, Distance, rhoOf(t, rows, Distance)),
  },

  thresholds: {
    table: 'thresholds',
    choices: (t) => [{name: 'Granularity', of: (row) => t.thresholds.text('granularity', row)},
                     {name: 'Model', of: (row) => t.thresholds.text('model', row)},
                     {name: 'Fault', of: (row) => t.thresholds.text('fault', row)}],
    draw: (t, rows) => drawThresholds(t.thresholds, rows),
  },

  bits: {
    table: 'bits',
    choices: (t) => [
      byVariant(t.bits), {name: 'Target', of: (row) => t.bits.text('target', row)},
      {name: 'Measure', values: ['loss_mean', 'loss_per_flip', 'share'],
       label: (name) => ({loss_mean: 'loss, pp', loss_per_flip: 'loss of a flip', share: 'share of the loss'})[name]},
    ],
    draw: (t, rows, {Measure}) => drawBits(t.bits, rows, Measure),
  },

  ranking: {
    table: 'cells',
    rows: (t) => t.cells.all().filter((row) => t.cells.text('rank', row) !== ''),
    choices: (t) => [
      byVariant(t.cells), {name: 'Granularity', of: (row) => t.cells.text('granularity', row)},
      byPosition(t.cells), {name: 'Kind', of: (row) => rankedWith(t.cells, row)}, byRateChoice(t.cells),
    ],
    draw: (t, rows) => drawRanking(t.cells, rows),
  },

  costs: {table: 'costs', draw: (t, rows) => drawCosts(t.costs, rows)},
};

function byType(cells) {
  return {name: 'Part', of: (row) => places(cells)[row].type, label: (type) => type || 'whole head'};
}

// Heads are not ranked with their types, nor types of blocks with those of the model.
function rankedWith(cells, row) {
  const place = places(cells)[row];
  const granularity = cells.text('granularity', row);
  if (granularity === 'head') return place.type === '' ? 'heads' : 'types of heads';
  if (granularity === 'type' || granularity === 'part') return place.block === '' ? 'of the model' : 'of blocks';
  return '';
}

// What mad_vf.csv says of these heads.
function rhoOf(t, rows, distance) {
  if (rows.length === 0) return '';
  const kind = distance === 'mad_px' ? 'as_is' : 'renormalised';
  const same = ['model', 'format', 'fault', 'ber'];
  const pattern = t.cells.text('target', rows[0]).replace(/\d+/g, '*');
  const found = t.mad_vf.all().find((row) =>
    t.mad_vf.text('mad', row) === kind && t.mad_vf.text('target', row).replace(/\d+/g, '*') === pattern &&
    same.every((column) => t.mad_vf.text(column, row) === t.cells.text(column, rows[0])));
  if (found === undefined) return '';
  const text = (column) => readable(t.mad_vf.text(column, found));
  const interval = text('ci_low') === '-' ? '' : `, interval ${text('ci_low')} to ${text('ci_high')}`;
  return `rho ${text('rho')}${interval}, p ${text('p_value')}, over ${text('heads')} heads`;
}

// The rows that a figure has, those that the reader's choices leave, and the choices themselves.
function choose(figure, tables, chosen) {
  const table = tables[figure.table];
  const all = figure.rows ? figure.rows(tables) : table.all();
  let rows = all;
  const controls = [];
  const values = {};
  for (const choice of figure.choices ? figure.choices(tables) : []) {
    if (choice.when && !choice.when(values)) continue;
    let options = choice.values;
    if (!options) {
      const groups = groupBy(rows, choice.of);
      options = groups.map(([value]) => value);
      if (choice.sort) options.sort((a, b) => numberOf(a) - numberOf(b));
      const best = () => (choice.best && groups.length > 0 ? choice.best(table, groups) : options[0]);
      const value = options.includes(chosen[choice.name]) ? chosen[choice.name] : best();
      rows = rows.filter((row) => choice.of(row) === value);
      values[choice.name] = value;
    } else {
      values[choice.name] = options.includes(chosen[choice.name]) ? chosen[choice.name] : options[0];
    }
    const labels = choice.labels ? choice.labels(options) : null;
    const label = (value) => (labels ? labels.get(value) : choice.label ? choice.label(value) : value);
    controls.push({name: choice.name, value: values[choice.name], options, label});
  }
  return {all, rows, values, controls};
}
