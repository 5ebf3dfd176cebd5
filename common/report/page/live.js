// A page that a coordinator serves goes on with what changes: events carry the changed rows and
// tables, and the version that they lead to.

const RETRY_MS = 10000;

function follow(path, version) {
  const source = new EventSource(`${path}?since=${encodeURIComponent(version)}`);
  let known = version;
  source.addEventListener('change', (event) => {
    known = event.lastEventId;
    takeChange(JSON.parse(event.data));
  });
  source.addEventListener('end', () => source.close());
  source.addEventListener('reload', () => location.reload());
  source.addEventListener('error', () => {
    // Closed: refused, as when too many watch. The browser itself tries again after other errors.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(path, known), RETRY_MS);
  });
}

function takeChange(change) {
  showProgress(change.progress);
  for (const [name, json] of Object.entries(change.tables)) {
    const table = new Table(json);
    const before = page.tables[name];
    page.tables[name] = name === 'cells' && before.rows > 0 ? before.with(table, 'cell') : table;
  }
  for (const [id, present] of Object.entries(change.sections)) {
    sectionOf(id).hidden = !present;
    for (const link of document.querySelectorAll(`nav a[href="#${id}"]`)) link.hidden = !present;
    for (const item of document.querySelectorAll(`[data-absent="${id}"]`)) item.hidden = present;
  }
  const absent = document.getElementById('absent');
  if (absent) absent.hidden = Object.values(change.sections).every((present) => present);
  if (Object.keys(change.tables).length === 0) return;
  for (const [id, figure] of Object.entries(FIGURES)) {
    if (!(figure.table in change.tables) || sectionOf(id).hidden) continue;
    drawFigure(id);
    fillTable(id, figure);
  }
}

function showProgress(progress) {
  const parts = [progress.state, `${progress.jobs_done} of ${progress.jobs_expected} jobs`,
                 `${progress.images_done} images`];
  if (progress.jobs_poisoned > 0) parts.push(`${progress.jobs_poisoned} failed for good`);
  if (!progress.ended && progress.images_per_second > 0) {
    parts.push(`${Math.round(progress.images_per_second)} images/s`,
               `${Math.ceil(progress.eta_seconds)} s to go`, `${progress.workers} workers`);
  }
  document.getElementById('progress').textContent = parts.join(', ');
  document.getElementById('error').textContent = progress.error;
}

const MOST_TABLE_ROWS = 200;  // as the page has them when it is served

// The table below a figure, as the page would now be served.
function fillTable(id, figure) {
  const section = sectionOf(id);
  const data = section.querySelector('table');
  // The table of this figure shows correlations, one for many points.
  const name = id === 'mad' ? 'mad_vf' : figure.table;
  const table = page.tables[name];
  const rows = name === figure.table && figure.rows ? figure.rows(page.tables) : table.all();
  const columns = [...data.querySelectorAll('th')].map((th) => th.dataset.column);
  data.tBodies[0].replaceChildren(...rows.slice(0, MOST_TABLE_ROWS).map((row) => {
    const line = document.createElement('tr');
    for (const column of columns) {
      const cell = document.createElement('td');
      const text = table.text(column, row);
      cell.textContent = readable(text);
      if (!Number.isNaN(numberOf(text)) || text === '') cell.className = 'number';
      line.append(cell);
    }
    return line;
  }));
  const shown = Math.min(rows.length, MOST_TABLE_ROWS);
  const note = section.querySelector('details .note');
  note.textContent = note.textContent.replace(/^\d+ of \d+/, `${shown} of ${rows.length}`);
}

start();
