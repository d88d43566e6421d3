/**
 * Takes the pictures of `docs/planner.md` from the report of a simulated evening, the sections with plots each for itself.
 * `node tests/e2e/screenshots/take-planner.mjs [FOLDER]`. Run on demand, never by tests.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { FOLDER, launch, picture, ROOT } from './support.mjs'

const folder = process.argv[2] ?? FOLDER
const SECTIONS = { 'planner-capacity': 'What the swarm could carry', 'planner-holders': 'Who held what' }

const scratch = mkdtempSync(join(tmpdir(), 'tabswarm-report-'))
const browser = await launch()
try {
  const report = join(scratch, 'evening.html')
  execFileSync(process.execPath, [
    join(ROOT, 'cli/tabswarm.mjs'),
    'simulate',
    '--scenario',
    'evening',
    '--report',
    report,
  ])
  const page = await browser.newPage({ viewport: { width: 960, height: 800 }, colorScheme: 'light' })
  await page.goto(pathToFileURL(report).href)
  for (const [name, title] of Object.entries(SECTIONS)) {
    const clip = await page.getByRole('heading', { level: 2, name: title }).evaluate((heading) => {
      let next = heading.nextElementSibling
      while (next !== null && next.tagName !== 'H2') next = next.nextElementSibling
      const { x, y, width } = heading.getBoundingClientRect()
      return { x: Math.max(0, x - 16), y, width: width + 32, height: next.getBoundingClientRect().y - y }
    })
    await picture(page, join(folder, `${name}.png`), { clip, fullPage: true })
  }
} finally {
  await browser.close()
  rmSync(scratch, { recursive: true, force: true })
}
