// The page: reads its data, draws its figures one after the other, and again when something changes.

const page = {tables: {}, chosen: {}, drawn: new Set(), printing: false};

function readData(json) {
  for (const [name, table] of Object.entries(json.tables)) page.tables[name] = new Table(table);
}

function sectionOf(id) {
  return document.getElementById(id);
}

// The library takes a second or two to begin: the page is there to be read before.
function loadLibrary() {
  const script = document.createElement('script');
  script.textContent = document.getElementById('plotly').textContent;
  document.head.append(script);
}

function drawFigure(id) {
  const section = sectionOf(id);
  if (section.hidden || !window.Plotly) return;
  const figure = FIGURES[id];
  page.chosen[id] = page.chosen[id] || {};
  const {rows, values, controls} = choose(figure, page.tables, page.chosen[id]);
  showControls(section, id, controls);
  const drawing = figure.draw(page.tables, rows, values);
  const plot = section.querySelector('.plot');
  plot.id = `plot-${id}`;
  plot.style.height = `${drawing.height || 420}px`;
  plot.figure = drawing;
  const dark = isDark() && !page.printing;
  Plotly.react(plot, themedData(drawing.data, dark), themed(drawing.layout, dark), plotConfig(plot));
  if (!page.drawn.has(id)) hoverOn(plot, figure);
  page.drawn.add(id);
  showNote(section, drawing.note || '');
}

function showNote(section, text) {
  let note = section.querySelector('.plot + .note');
  if (!note) {
    note = document.createElement('p');
    note.className = 'note';
    section.querySelector('.plot').after(note);
  }
  note.textContent = text;
  note.hidden = text === '';
}

// A list to choose from for each choice that is one; those that are there stay, with their focus.
function showControls(section, id, controls) {
  const box = section.querySelector('.controls');
  const wanted = controls.filter((control) => control.options.length > 1);
  const known = new Map([...box.children].map((label) => [label.dataset.name, label]));
  box.replaceChildren(...wanted.map((control) => {
    const label = known.get(control.name) || makeControl(id, control.name);
    const select = label.querySelector('select');
    select.replaceChildren(...control.options.map((value) => new Option(control.label(value), value)));
    select.value = control.value;
    return label;
  }));
}

function makeControl(id, name) {
  const label = document.createElement('label');
  label.dataset.name = name;
  const select = document.createElement('select');
  select.addEventListener('change', () => {
    page.chosen[id][name] = select.value;
    drawFigure(id);
    select.focus();
  });
  label.append(`${name} `, select);
  return label;
}

// One figure at a time, so that the page answers in between.
function drawAll(ids) {
  const [first, ...others] = ids;
  if (first === undefined) {
    document.documentElement.dataset.drawn = 'all';
    return;
  }
  drawFigure(first);
  document.documentElement.dataset.drawn = 'first';
  setTimeout(() => drawAll(others), 0);
}

function redraw() {
  hideHover();
  for (const id of Object.keys(FIGURES)) drawFigure(id);
}

function toggleTheme() {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  redraw();
}

// Paper is white, and as wide as it is.
function setPrinting(printing) {
  page.printing = printing;
  document.documentElement.classList.toggle('printing', printing);
  redraw();
  for (const plot of document.querySelectorAll('section:not([hidden]) > .plot')) Plotly.Plots.resize(plot);
}

function start() {
  readData(JSON.parse(document.getElementById('data').textContent));
  for (const details of document.querySelectorAll('.figure details')) details.open = false;
  document.getElementById('theme').addEventListener('click', toggleTheme);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', () => setPrinting(true));
  addEventListener('afterprint', () => setPrinting(false));
  addEventListener('scroll', hideHover, {passive: true});
  document.documentElement.dataset.drawn = 'text';
  requestAnimationFrame(() => setTimeout(() => {
    loadLibrary();
    drawAll(Object.keys(FIGURES));
    if (document.body.dataset.events) follow(document.body.dataset.events, document.body.dataset.version);
  }, 0));
}
