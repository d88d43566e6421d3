#!/usr/bin/env node
/*
 * The `tabswarm` command before anything is installed: checks Node, installs packages and builds when that is needed,
 * then hands over to dist/node/main.js. Plain old syntax and no dependency, so that a Node that is too old still
 * parses this file and can say so.
 */
import { realpathSync } from 'fs'
import { dirname, join } from 'path'
import { fileURLToPath, pathToFileURL } from 'url'

const LEAST = { major: 20, minor: 19 }

/** @param {string} version */
function isTooOld(version) {
  const parts = version.split('.').map(Number)
  const major = parts[0] || 0
  return major < LEAST.major || (major === LEAST.major && (parts[1] || 0) < LEAST.minor)
}

/** @param {{ sentence?: string, stack?: string } | undefined} error */
function fail(error) {
  // Setup errors carry a sentence for the person; anything else is a bug of ours and keeps its stack.
  process.stderr.write(((error && (error.sentence || error.stack)) || 'Tabswarm failed without saying why') + '\n')
  process.exit(1)
}

function main() {
  const version = process.versions.node
  if (isTooOld(version)) {
    process.stderr.write(
      'Tabswarm needs Node ' +
        LEAST.major +
        '.' +
        LEAST.minor +
        ' or newer, and this is Node ' +
        version +
        ': install a current Node from https://nodejs.org and start again.\n',
    )
    process.exit(1)
  }
  // Through a `bin` link argv names the link; the project is where the file really is.
  const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))))
  return import('./setup/setup.mjs')
    .then(function (setup) {
      return setup.prepare(root)
    })
    .then(function () {
      return import(pathToFileURL(join(root, 'dist', 'node', 'main.js')).href)
    })
    .then(function (program) {
      return program.main(process.argv.slice(2), root)
    })
}

Promise.resolve().then(main).catch(fail)
