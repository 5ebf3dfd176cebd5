// Figures of two places: a cell for each.

const MEASURES = {
  loss_mean: 'loss, percentage points',
  vf: 'vulnerability factor',
  loss_per_mbit: 'loss for 10^6 bits, pp',
  top1_mean: 'top-1 accuracy, %',
  sdc_rate: 'SDC, %',
  due_rate: 'DUE, %',
};

// `across` and `down` say where a row stands; both are lists of labels in their order.
function heatMap(cells, rows, measure, across, down, xTitle, yTitle) {
  const xs = new Map(across.labels.map((label, i) => [label, i]));
  const ys = new Map(down.labels.map((label, i) => [label, i]));
  const empty = (value) => down.labels.map(() => new Array(across.labels.length).fill(value));
  const z = empty(null);
  const customdata = empty(null);
  for (const row of rows) {
    const [x, y] = [xs.get(across.of(row)), ys.get(down.of(row))];
    const value = cells.number(measure, row);
    z[y][x] = Number.isNaN(value) ? null : value;
    customdata[y][x] = row;
  }
  const small = across.labels.length <= 16 && down.labels.length <= 24;
  const text = z.map((line) => line.map((value) => (value === null ? '' : String(Number(value.toPrecision(3))))));
  return {
    height: Math.max(320, 130 + 26 * down.labels.length),
    data: [{
      type: 'heatmap', x: across.labels.map(plain), y: down.labels.map(plain), z, customdata,
      colorscale: 'Cividis', hoverinfo: 'none', xgap: 1, ygap: 1,
      colorbar: {title: {text: MEASURES[measure], side: 'right'}, thickness: 14},
      ...(small ? {text, texttemplate: '%{text}', textfont: {size: 11}} : {}),
    }],
    layout: {xaxis: {title: axisTitle(xTitle), type: 'category', showgrid: false},
             yaxis: {title: axisTitle(yTitle), type: 'category', autorange: 'reversed', showgrid: false}},
  };
}

function byBlock(cells, rows, outside) {
  const of = (row) => places(cells)[row].block;
  const blocks = distinct(rows.map(of)).sort(compareBlocks);
  const label = (block) => (block === '' ? outside : block);
  return {labels: blocks.map(label), of: (row) => label(of(row))};
}

function byRate(cells, rows) {
  const rates = distinct(rows.map((row) => cells.text('ber', row))).sort((a, b) => numberOf(a) - numberOf(b));
  const label = rateLabels(rates);
  return {labels: rates.map((rate) => label.get(rate)), of: (row) => label.get(cells.text('ber', row))};
}

function byRest(cells, rows) {
  const of = (row) => places(cells)[row].rest;
  return {labels: distinct(rows.map(of)), of};
}

function drawBlocks(cells, rows, measure) {
  return heatMap(cells, rows, measure, byBlock(cells, rows, ''), byRate(cells, rows), 'block', 'bit-error rate');
}

function drawTensors(cells, rows, measure) {
  return heatMap(cells, rows, measure, byBlock(cells, rows, 'outside'), byRest(cells, rows), 'block', '');
}

function drawTypeMap(cells, rows, measure) {
  return heatMap(cells, rows, measure, byBlock(cells, rows, 'all'), byRest(cells, rows), 'block', '');
}

function drawHeads(cells, rows, measure) {
  const heads = distinct(rows.map((row) => places(cells)[row].head)).sort((a, b) => a - b);
  const down = {labels: heads.map((head) => `h${head}`), of: (row) => `h${places(cells)[row].head}`};
  return heatMap(cells, rows, measure, byBlock(cells, rows, ''), down, 'block', 'head');
}
