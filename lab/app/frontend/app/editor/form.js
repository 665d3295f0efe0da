'use client'

import { useActionState } from 'react'
import { ask } from './actions'

export default function Form() {
  const [answer, action, pending] = useActionState(ask, null)
  return (
    <form action={action}>
      <input name="instruction" size="40" placeholder="제목 글자를 크게 해줘" aria-label="What to change" />
      <button disabled={pending}>OK</button>
      {answer && <pre>{JSON.stringify(answer.patch ?? answer.detail, null, 2)}</pre>}
    </form>
  )
}
