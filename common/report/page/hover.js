// What a mark stands for, digit for digit as the CSV file has it.

function showHover(file, table, row, event) {
  const box = document.getElementById('hover');
  box.replaceChildren();
  const title = document.createElement('strong');
  title.textContent = file;
  const list = document.createElement('dl');
  for (const name of table.names) {
    const term = document.createElement('dt');
    term.textContent = name;
    const value = document.createElement('dd');
    value.textContent = table.text(name, row);
    value.dataset.column = name;
    list.append(term, value);
  }
  box.append(title, list);
  box.hidden = false;
  placeHover(box, event);
}

// Beside the pointer, within the window.
function placeHover(box, event) {
  const gap = 16;
  const {width, height} = box.getBoundingClientRect();
  const fits = event.clientX + gap + width < innerWidth;
  const left = fits ? event.clientX + gap : Math.max(4, event.clientX - gap - width);
  box.style.left = `${left}px`;
  box.style.top = `${Math.max(4, Math.min(event.clientY - height / 2, innerHeight - height - 4))}px`;
}

function hideHover() {
  document.getElementById('hover').hidden = true;
}

const FILES = {cells: 'cells.csv', thresholds: 'thresholds.csv', bits: 'bits.csv',
               golden: 'campaign.json', costs: 'sums over cells.csv'};

function hoverOn(plot, figure) {
  const show = (data) => {
    const row = data.points[0].customdata;
    if (Number.isInteger(row)) showHover(FILES[figure.table], page.tables[figure.table], row, data.event);
  };
  plot.on('plotly_hover', show);
  plot.on('plotly_click', show);  // a finger does not hover
  plot.on('plotly_unhover', hideHover);
}
