'use server'

import { edit } from '../../lib/backend'

// A form posts here; works without JavaScript too.
export async function ask(_previous, form) {
  const instruction = String(form.get('instruction') ?? '').trim()
  return instruction ? (await edit(instruction)).body : { detail: 'say what to change' }
}
