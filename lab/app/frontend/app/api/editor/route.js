import { edit } from '../../../lib/backend'

export async function POST(request) {
  const body = await request.json().catch(() => null)
  if (typeof body?.instruction !== 'string' || !body.instruction.trim()) {
    return Response.json({ detail: 'expected {"instruction": "..."}' }, { status: 400 })
  }
  const answer = await edit(body.instruction)
  return Response.json(answer.body, { status: answer.status })
}
