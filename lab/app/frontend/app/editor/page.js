import Form from './form'

export default function Editor() {
  return (
    <main>
      <h1>Editor</h1>
      <Form />
    </main>
  )
}
