// How figures look: colours that the colour-blind tell apart, light and dark, what can be exported.

// Okabe and Ito's, without the yellow and the black, which one of the themes would hide.
const LINE_COLORS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'x'];

function lineStyle(i) {
  return {
    color: LINE_COLORS[i % LINE_COLORS.length],
    dash: DASHES[Math.floor(i / LINE_COLORS.length) % DASHES.length],
    symbol: SYMBOLS[i % SYMBOLS.length],
  };
}

function withAlpha(hex, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function themed(layout, dark) {
  const text = dark ? '#e4e6ea' : '#1b1e23';
  const grid = dark ? '#3a3f47' : '#dfe2e7';
  const axis = {gridcolor: grid, linecolor: grid, zerolinecolor: grid, automargin: true};
  const out = {
    paper_bgcolor: dark ? '#16181c' : '#ffffff',
    plot_bgcolor: dark ? '#16181c' : '#ffffff',
    font: {color: text, family: 'system-ui, sans-serif', size: 13},
    margin: {l: 60, r: 20, t: 20, b: 50},
    hovermode: 'closest',
    hoverdistance: 12,
    modebar: {color: dark ? '#9aa1ab' : '#6b727c', activecolor: text, bgcolor: 'rgba(0,0,0,0)'},
    legend: {orientation: 'h', yanchor: 'bottom', y: 1.02, x: 0},
    ...layout,
  };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    out[name] = {...axis, ...layout[name]};
  }
  return out;
}

// Error bars of bars have no colour of their own.
function themedData(data, dark) {
  const color = dark ? '#e4e6ea' : '#1b1e23';
  return data.map((trace) => {
    if (trace.type !== 'bar') return trace;
    const bars = Object.keys(trace).filter((key) => key.startsWith('error_'));
    return {...trace, ...Object.fromEntries(bars.map((key) => [key, {...trace[key], color}]))};
  });
}

function axisTitle(text) {
  return {text, standoff: 8};
}

// A figure as it goes into a paper: on white, whatever the page has.
function exportFigure(plot, format) {
  const figure = plot.figure;
  const options = {format, filename: plot.id, width: 1000, height: Math.max(600, figure.height || 0), scale: format === 'png' ? 2 : 1};
  return Plotly.downloadImage({data: themedData(figure.data, false), layout: themed(figure.layout, false)}, options);
}

function plotConfig(plot) {
  const button = (format) => ({
    name: `Download as ${format.toUpperCase()}`,
    title: `Download as ${format.toUpperCase()}`,
    icon: format === 'png' ? Plotly.Icons.camera : Plotly.Icons.disk,
    click: () => exportFigure(plot, format),
  });
  return {
    responsive: true,
    displaylogo: false,
    displayModeBar: true,
    modeBarButtons: [[button('png'), button('svg')], ['zoom2d', 'pan2d', 'resetScale2d']],
  };
}
