// Where in a model a target lies, by its name: "layers.0.blocks.3.attn.h7.q.bit5" is of block
// layers.0.blocks.3, head 7, type q, bit position 5.

function placeOf(granularity, target) {
  const bit = /^(.*)\.bit(\d+)$/.exec(target);
  const whole = granularity !== 'bit' && bit ? bit[1] : target;
  const place = {
    block: '',  // "3"; "0.3" where blocks lie in layers
    rest: whole,  // within the block
    head: -1,
    type: '',
    position: granularity !== 'bit' && bit ? bit[2] : '',
  };
  const inBlock = /^(?:layers\.(\d+)\.)?blocks\.(\d+)(?:\.(.*))?$/.exec(whole);
  if (inBlock) {
    place.block = inBlock[1] === undefined ? inBlock[2] : `${inBlock[1]}.${inBlock[2]}`;
    place.rest = inBlock[3] || '';
  }
  const head = /^attn\.h(\d+)(?:\.([qkv]))?$/.exec(place.rest);
  if (granularity === 'head' && head) {
    place.head = Number(head[1]);
    place.type = head[2] || '';
  }
  if (granularity === 'type') place.type = place.rest;
  return place;
}

// By layer, then by number; what is in no block comes last.
function compareBlocks(a, b) {
  if (a === '' || b === '') return a === b ? 0 : a === '' ? 1 : -1;
  const [x, y] = [a, b].map((block) => block.split('.').map(Number));
  return x.length > 1 && x[0] !== y[0] ? x[0] - y[0] : x[x.length - 1] - y[y.length - 1];
}

// The places of all cells, as long as these are the cells.
let knownPlaces = {cells: null, places: []};
function places(cells) {
  if (knownPlaces.cells !== cells) {
    const granularities = cells.texts('granularity');
    const targets = cells.texts('target');
    knownPlaces = {cells, places: targets.map((target, i) => placeOf(granularities[i], target))};
  }
  return knownPlaces.places;
}

// Different values in the order in which they come.
function distinct(values) {
  return [...new Set(values)];
}
