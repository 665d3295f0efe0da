// Talks to the backend; its address is read when the request comes, so one build serves everywhere.
const MILLISECONDS = 5000

export async function edit(instruction) {
  const base = process.env.BACKEND_URL
  if (!base) {
    return { status: 500, body: { detail: 'BACKEND_URL is not set' } }
  }
  try {
    const answer = await fetch(`${base}/api/v1/editor/edit`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ instruction }),
      signal: AbortSignal.timeout(MILLISECONDS),
      cache: 'no-store',
    })
    return { status: answer.status, body: await answer.json() }
  } catch (error) {
    console.error(`backend: ${error.name}: ${error.message}`)
    return { status: 502, body: { detail: 'the backend does not answer' } }
  }
}
