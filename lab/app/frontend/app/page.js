import Link from 'next/link'

export default function Home() {
  return (
    <main>
      <h1>Sparklio</h1>
      <p>From a sentence to a campaign.</p>
      <p><Link href="/editor">Editor</Link></p>
    </main>
  )
}
