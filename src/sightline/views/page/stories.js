// Five stories for a projector: each a few moments of the page with a sentence to say.

const HEIGHTS = { lr: 3e-6, std: 0, dt: 'float64', start: [-35, 0.45] };

export const STORIES = [
  {
    title: 'A rate that is too large', scene: 'heights',
    moments: [
      { say: 'Five people. Twenty steps down the slope at rate 0.000003: the line looks finished. Is it?', state: { ...HEIGHTS, k: 20, guess: 1 } },
      { say: 'Ten times faster still arrives at the same place …', state: { ...HEIGHTS, lr: 3e-5, k: 20 } },
      { say: '… and one step beyond 2/λmax, every step overshoots more than the one before.', state: { ...HEIGHTS, lr: 3.6e-5, k: 20 } },
      { say: 'The limit is known before training: it is where the marker stands.', state: { ...HEIGHTS, lr: 3.5e-5, k: 60 } },
    ],
  },
  {
    title: 'Crawling, and frozen', scene: 'heights',
    moments: [
      { say: 'In the data the line fits. In the space of the weights it has hardly left.', state: { ...HEIGHTS, k: 20, axes: 'stretched' } },
      { say: 'A million epochs later: the valley floor is 2,348 times longer than wide.', state: { ...HEIGHTS, k: 1e6 } },
      { say: 'In float32 it never gets there: from epoch 74 on each step is rounded away.', state: { ...HEIGHTS, dt: 'float32', k: 1e6 } },
      { say: 'Standardized columns make the valley round: one step is enough.', state: { std: 1, lr: 0.5, dt: 'float64', start: [-35, 0.45], k: 1, axes: 'eigen' } },
    ],
  },
  {
    title: 'Momentum', scene: 'heights',
    moments: [
      { say: 'The best fixed rate: the steep direction bounces, the flat one crawls.', state: { ...HEIGHTS, lr: 3.52e-5, k: 1000 } },
      { say: 'Momentum 0.9 carries ten steps along the flat direction for one.', state: { ...HEIGHTS, lr: 3.52e-5, m: 0.9, k: 1000 } },
      { say: "Polyak's momentum for this valley: thousands of epochs in place of millions.", state: { ...HEIGHTS, lr: 7.043e-5, m: 0.9983, k: 20000 } },
    ],
  },
  {
    title: 'Two columns that say the same', scene: 'collinear',
    moments: [
      { say: 'Height in centimeters, and nearly the same in inches: two coefficients, one fact.', state: { k: 0, guess: 1 } },
      { say: 'The sum is known at once; how it is shared between the two takes forever.', state: { k: 100, axes: 'eigen' } },
      { say: 'The intervals say it: each alone is nearly unknown.', state: { k: 1e6, lr: 0.2, big: 'E' } },
    ],
  },
  {
    title: 'One row with leverage', scene: 'leverage',
    moments: [
      { say: 'Eleven rows agree. The last one is far to the right.', state: { k: 0, guess: 1 } },
      { say: 'The exact line follows the one row, as squares punish far rows most.', state: { sq: 1 } },
      { say: "Cook's distance names it: without that row the slope is another.", state: { row: 11, big: 'I' } },
    ],
  },
];
