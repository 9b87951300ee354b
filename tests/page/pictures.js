// Makes the pictures of docs/page.md: a sweep whose webhook refuses one message in five.
import { join, resolve } from 'node:path';
import { close, launch, start, tab, webhook } from './program.js';

const pictures = resolve(import.meta.dirname, '../../docs/pictures');
const endings = [];
const t = { after: (end) => endings.push(end) };

await launch();
try {
  const url = await webhook(t, (result) => (/[05]$/.test(result.simulation_id) ? [503, 'out of paper'] : [200, '']));
  const program = await start(t, `
input:
  mfn_sweep:
    name: spots
    sampling: halton
    count: 2000
    parameters: { F: { min: 0.02, max: 0.05 }, k: { min: 0.056, max: 0.062 } }
    fixed: { model: gray_scott, grid_size: 96, steps: 4000, seed: 42 }
pipeline: { threads: 1, processors: [ mfn_simulate: {} ] }
output: { label: results, mfn_webhook: { url: '${url}/results', retry: { initial_delay: 200ms, max_delay: 60s } } }
`);
  for (const [name, colorScheme, width, height] of [['light', 'light', 1200, 900], ['dark', 'dark', 1200, 900], ['small', 'light', 360, 740]]) {
    const { page } = await tab(t, { colorScheme, viewport: { width, height } });
    await page.goto(program.url);
    await page.waitForFunction(() => document.querySelector('#summary').dataset.state === 'partly_failing'
      && document.querySelectorAll('#fields img').length === 6 && document.querySelector('#messages polyline').getAttribute('points').split(' ').length > 4);
    await page.screenshot({ path: join(pictures, `page-${name}.png`), fullPage: name !== 'small' });
  }
} finally {
  for (const end of endings.reverse()) await end();
  await close();
}
