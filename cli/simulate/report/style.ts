/** The report's style: one column, system fonts, colours for light and dark that hold their contrast in both. */
export const STYLE = `
:root { color-scheme: light dark; --page: #fbfaf8; --text: #1f2328; --soft: #5b6470; --rule: #d9dce1; --card: #ffffff;
  --flow: #1d5fd1; --petals: #b4540a; --bound: #e3e6ec; --h0: #d1242f; --h1: #cfe0f7; --h2: #8fb7ea; --h3: #4a83d0; --h4: #1c4c94; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --text: #e6e8eb; --soft: #a0a8b3; --rule: #363c45; --card: #1b1f26;
  --flow: #79a8ff; --petals: #f0a060; --bound: #2c323c; --h0: #ff6b6b; --h1: #1f3556; --h2: #2f5c99; --h3: #5a92dc; --h4: #b3d2ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 920px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 8px; }
h2 { font-size: 1.2rem; margin: 40px 0 6px; }
h3 { font-size: 1rem; margin: 18px 0 4px; }
p { margin: 6px 0 10px; max-width: 72ch; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 560px; height: auto; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { fill: var(--soft); font: 12px system-ui, sans-serif; }
.axis-line { stroke: var(--soft); stroke-width: 1; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.line.flow { stroke: var(--flow); } .line.petals { stroke: var(--petals); stroke-dasharray: 6 3; }
.area.bound { fill: var(--bound); }
.h0 { fill: var(--h0); } .h1 { fill: var(--h1); } .h2 { fill: var(--h2); } .h3 { fill: var(--h3); } .h4 { fill: var(--h4); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0; font-size: 0.9rem; padding: 0; list-style: none; }
.legend svg { display: inline-block; width: 26px; min-width: 0; height: 12px; vertical-align: -1px; margin-right: 6px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: var(--soft); max-width: 58ch; }
code { font-family: ui-monospace, monospace; font-size: 0.9em; }
dt { font-weight: 600; margin-top: 8px; } dd { margin: 0; max-width: 72ch; }
`
