// Figures of lines, points and bars.

// What a row is of: its model, format and fault, as far as these differ between the table's rows.
function variantOf(table, row) {
  return variantColumns(table).map((column) => table.text(column, row)).join(' · ');
}

const knownColumns = new WeakMap();
function variantColumns(table) {
  if (!knownColumns.has(table)) {
    const columns = ['model', 'format', 'fault'].filter((column) => table.names.includes(column));
    const differ = columns.filter((column) => distinct(table.texts(column)).length > 1);
    knownColumns.set(table, differ.length > 0 ? differ : ['model', 'format']);
  }
  return knownColumns.get(table);
}

// plotly reads names as a little HTML; a name is text.
function plain(text) {
  return String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

function drawGolden(table, rows) {
  const labels = rows.map((row) => plain(variantOf(table, row)));
  const bar = (column, name, style) => ({
    type: 'bar', name, x: labels, y: rows.map((row) => table.number(column, row)),
    customdata: rows, hoverinfo: 'none', marker: {color: style.color},
    text: rows.map((row) => readable(table.text(column, row))), textposition: 'auto',
  });
  return {
    data: [bar('top1', 'top-1', lineStyle(0)), bar('top5', 'top-5', lineStyle(4))],
    layout: {xaxis: {type: 'category'},
             yaxis: {title: axisTitle('accuracy, %'), range: [0, 100]}, barmode: 'group'},
  };
}

const MOST_LINES = 40;
const MOST_BANDS = 12;

// Lines over the bit-error rate: one for each model, format, fault and target of the rows.
function drawAccuracy(cells, rows) {
  const lines = new Map();
  for (const row of rows) {
    const name = `${variantOf(cells, row)} · ${cells.text('target', row)}`;
    if (!lines.has(name)) lines.set(name, []);
    lines.get(name).push(row);
  }
  const shown = [...lines].slice(0, MOST_LINES);
  const data = shown.flatMap(([name, line], i) => {
    line.sort((a, b) => cells.number('ber', a) - cells.number('ber', b));
    return accuracyLine(cells, line, name, lineStyle(i), shown.length <= MOST_BANDS);
  });
  const note = lines.size > MOST_LINES
    ? `The first ${MOST_LINES} of ${lines.size} targets; the maps below and cells.csv have all.` : '';
  return {
    data, note,
    layout: {xaxis: rateAxis(cells, rows), yaxis: {title: axisTitle('top-1 accuracy, %'), range: [0, 101]}},
  };
}

// A tick for each decade, or for every few; where there are fewer than two, as plotly chooses.
function rateAxis(cells, rows) {
  const rates = rows.map((row) => Math.log10(cells.number('ber', row))).filter(Number.isFinite);
  const decades = Math.max(...rates) - Math.min(...rates);
  return {type: 'log', title: axisTitle('bit-error rate'), exponentformat: 'power',
          ...(decades >= 1 ? {dtick: Math.ceil(decades / 10)} : {})};
}

function accuracyLine(cells, line, name, style, band) {
  const column = (of, rows) => rows.map((row) => cells.number(of, row));
  const label = plain(name);
  const traces = [];
  const known = line.filter((row) => !Number.isNaN(cells.number('ci_low', row)));
  if (band && known.length > 0) {
    const back = [...known].reverse();
    traces.push({
      type: 'scatter', mode: 'lines', legendgroup: label, showlegend: false, hoverinfo: 'skip',
      x: [...column('ber', known), ...column('ber', back)],
      y: [...column('ci_high', known), ...column('ci_low', back)],
      fill: 'toself', fillcolor: withAlpha(style.color, 0.2), line: {width: 0},
    });
    traces.push({
      type: 'scatter', mode: 'lines', legendgroup: label, showlegend: false, hoverinfo: 'skip',
      x: column('ber', line), y: column('golden_top1', line),
      line: {color: style.color, width: 1, dash: 'dot'},
    });
  }
  traces.push({
    type: 'scatter', mode: 'lines+markers', name: label, legendgroup: label, hoverinfo: 'none',
    x: column('ber', line), y: column('top1_mean', line), customdata: line,
    line: {color: style.color, dash: style.dash}, marker: {symbol: style.symbol, size: 8},
  });
  return traces;
}

// Rows in groups by a key, as lines with markers.
function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const name = key(row);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return [...groups];
}

// From a value to the ends of its interval, as plotly takes error bars; none where undefined.
function errorBars(values, lows, highs) {
  const distance = (a, b) => (Number.isFinite(a - b) ? Math.max(0, a - b) : 0);
  return {
    type: 'data', symmetric: false, thickness: 1, width: 3,
    array: values.map((value, i) => distance(highs[i], value)),
    arrayminus: values.map((value, i) => distance(value, lows[i])),
  };
}

function lossInterval(cells, rows) {
  const losses = rows.map((row) => cells.number('loss_mean', row));
  const golden = (row) => cells.number('golden_top1', row);
  return errorBars(losses, rows.map((row) => golden(row) - cells.number('ci_high', row)),
                   rows.map((row) => golden(row) - cells.number('ci_low', row)));
}

// Types over the bit-error rate.
function drawTypeLines(cells, rows) {
  const data = groupBy(rows, (row) => cells.text('target', row)).map(([name, line], i) => {
    line.sort((a, b) => cells.number('ber', a) - cells.number('ber', b));
    const style = lineStyle(i);
    return {
      type: 'scatter', mode: 'lines+markers', name: plain(name), customdata: line, hoverinfo: 'none',
      x: line.map((row) => cells.number('ber', row)), y: line.map((row) => cells.number('loss_mean', row)),
      error_y: lossInterval(cells, line), line: {color: style.color, dash: style.dash},
      marker: {symbol: style.symbol, size: 9},
    };
  });
  return {data, layout: {
    xaxis: rateAxis(cells, rows),
    yaxis: {title: axisTitle('loss, percentage points'), rangemode: 'tozero'}}};
}

function drawMad(cells, rows, mad, distance, rho) {
  const at = new Map(mad.numbers('cell').map((cell, row) => [cell, row]));
  const known = rows.filter((row) => !Number.isNaN(cells.number('vf', row)));
  const groups = groupBy(known, (row) => `block ${places(cells)[row].block}`);
  const data = groups.map(([name, heads], i) => {
    const vf = heads.map((row) => cells.number('vf', row));
    return {
      type: 'scatter', mode: 'markers', name, customdata: heads, hoverinfo: 'none',
      x: heads.map((row) => mad.number(distance, at.get(cells.number('cell', row)))), y: vf,
      error_y: {...errorBars(vf, heads.map((row) => cells.number('vf_low', row)),
                             heads.map((row) => cells.number('vf_high', row))), thickness: 0.7},
      marker: {color: lineStyle(i).color, symbol: lineStyle(i).symbol, size: 9},
    };
  });
  return {data, note: rho, layout: {
    xaxis: {title: axisTitle('mean attention distance, px')},
    yaxis: {title: axisTitle('vulnerability factor')}, showlegend: groups.length > 1}};
}

const MOST_BARS = 40;

// A point for each target and limit; what was not reached stands at the right edge, as an arrow.
function drawThresholds(table, rows) {
  const order = distinct(rows.map((row) => thresholdLabel(table, row))).slice(0, MOST_BARS);
  const kept = new Set(order);
  const shown = rows.filter((row) => kept.has(thresholdLabel(table, row)));
  const finite = shown.map((row) => table.number('log10_ber', row)).filter(Number.isFinite);
  const [least, most] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [-1, 0];
  const edge = (value) => (value === Infinity ? most + 0.3 : value === -Infinity ? least - 0.3 : value);
  const data = groupBy(shown, (row) => table.text('loss_pp', row)).map(([limit, points], i) => {
    const exact = points.map((row) => table.number('log10_ber', row));
    const values = exact.map(edge);
    const arrow = exact.map((value) =>
      value === Infinity ? 'triangle-right-open' : value === -Infinity ? 'triangle-left-open' : lineStyle(i).symbol);
    return {
      type: 'scatter', mode: 'markers', name: `${limit} pp`, customdata: points, hoverinfo: 'none',
      x: values, y: points.map((row) => plain(thresholdLabel(table, row))),
      error_x: errorBars(values, points.map((row) => edge(table.number('ci_low', row))),
                         points.map((row) => edge(table.number('ci_high', row)))),
      marker: {color: lineStyle(i).color, symbol: arrow, size: 10},
    };
  });
  const all = distinct(rows.map((row) => thresholdLabel(table, row))).length;
  const notes = [];
  if (finite.length < shown.length) notes.push('Open arrows: not reached on the grid, or below it.');
  if (all > MOST_BARS) notes.push(`The first ${MOST_BARS} of ${all} targets; thresholds.csv has all.`);
  return {data, note: notes.join(' '), height: 140 + 26 * order.length, layout: {
    xaxis: {title: axisTitle('log10 of the bit-error rate')},
    yaxis: {type: 'category', autorange: 'reversed'}}};
}

function thresholdLabel(table, row) {
  return `${table.text('target', row)} · ${table.text('format', row)}`;
}

function drawBits(table, rows, measure) {
  const label = rateLabels(distinct(rows.map((row) => table.text('ber', row))));
  const data = groupBy(rows, (row) => label.get(table.text('ber', row))).map(([rate, bits], i) => {
    const values = bits.map((row) => table.number(measure, row));
    const interval = measure === 'loss_mean'
      ? {error_y: errorBars(values, bits.map((row) => table.number('ci_low', row)),
                            bits.map((row) => table.number('ci_high', row)))} : {};
    return {
      type: 'bar', name: `BER ${rate}`, customdata: bits, hoverinfo: 'none', ...interval,
      x: bits.map((row) => table.number('bit', row)), y: values, marker: {color: lineStyle(i).color},
    };
  });
  const titles = {loss_mean: 'loss, percentage points', loss_per_flip: 'loss of a flip, percentage points',
                  share: 'share of the loss, %'};
  return {data, layout: {
    xaxis: {title: axisTitle('bit position, 0 the least significant'), dtick: 1},
    yaxis: {title: axisTitle(titles[measure]), rangemode: 'tozero'}, barmode: 'group', showlegend: true}};
}

function drawRanking(cells, rows) {
  const ranked = [...rows].sort((a, b) => cells.number('rank', a) - cells.number('rank', b));
  const shown = ranked.slice(0, MOST_BARS);
  return {
    height: 140 + 24 * shown.length,
    note: ranked.length > MOST_BARS ? `The first ${MOST_BARS} of ${ranked.length}.` : '',
    data: [{
      type: 'bar', orientation: 'h', customdata: shown, hoverinfo: 'none',
      x: shown.map((row) => cells.number('loss_mean', row)),
      y: shown.map((row) => plain(cells.text('target', row))),
      error_x: lossInterval(cells, shown), marker: {color: lineStyle(0).color},
    }],
    layout: {xaxis: {title: axisTitle('loss, percentage points')},
             yaxis: {type: 'category', autorange: 'reversed'}},
  };
}

function drawCosts(table, rows) {
  const labels = rows.map((row) => plain(`${variantOf(table, row)} · ${table.text('granularity', row)}`));
  const run = rows.map((row) => table.number('inferences', row));
  const saved = rows.map((row, i) => table.number('images', row) - run[i]);
  const bar = (name, x, style) => ({
    type: 'bar', orientation: 'h', name, x, y: labels, customdata: rows, hoverinfo: 'none',
    marker: {color: style.color},
  });
  return {
    height: 160 + 26 * rows.length,
    data: [bar('run through the network', run, lineStyle(0)), bar('known without', saved, lineStyle(4))],
    layout: {barmode: 'stack', xaxis: {title: axisTitle('images'), rangemode: 'tozero'},
             yaxis: {type: 'category', autorange: 'reversed'}},
  };
}
