export const metadata = {
  title: 'Sparklio',
  description: 'Marketing studio',
  other: { release: process.env.RELEASE },
}

export default function Layout({ children }) {
  return (
    <html lang="ko">
      <body style={{ fontFamily: 'sans-serif', margin: '3rem auto', maxWidth: '40rem' }}>
        {children}
        <footer><small>{`Release ${process.env.RELEASE}`}</small></footer>
      </body>
    </html>
  )
}
