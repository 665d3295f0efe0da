import { readFileSync } from 'node:fs'

const here = import.meta.dirname
const release = readFileSync(`${here}/VERSION`, 'utf8').trim()

/** @type {import('next').NextConfig} */
export default {
  output: 'standalone',
  // A page of this build asks for assets of this build; dots are not allowed in the name.
  deploymentId: release.replaceAll(/[^A-Za-z0-9_-]/g, '-'),
  // Put in at build time: a page says which release made it, not which one is served beside it.
  env: { RELEASE: release },
  // Lock files further up the tree are no business of ours.
  outputFileTracingRoot: here,
  turbopack: { root: here },
  poweredByHeader: false,
}
