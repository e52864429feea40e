import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import "./style.css";

// The router: the path of the address bar, and links that change it without loading a page.
function usePath() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const update = () => setPath(location.pathname);
    addEventListener("popstate", update);
    return () => removeEventListener("popstate", update);
  }, []);
  return path;
}

function Link({ to, children }) {
  const follow = (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", to);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  return <a href={to} onClick={follow}>{children}</a>;
}

// The response of the API: undefined while it is under way, null if there is none.
function useApi(url) {
  const [data, setData] = useState();
  useEffect(() => {
    const controller = new AbortController();
    setData(undefined);
    fetch(url, { headers: { Accept: "application/json" }, signal: controller.signal })
      .then((response) => (response.ok ? response.json() : null))
      .then(setData)
      .catch(() => controller.signal.aborted || setData(null));
    return () => controller.abort();
  }, [url]);
  return data;
}

function Planets() {
  const planets = useApi("/api/planets");
  return (
    <>
      <h1>Planets</h1>
      <ul>{planets?.map(({ id, name }) => <li key={id}><Link to={`/planets/${id}`}>{name}</Link></li>)}</ul>
    </>
  );
}

function Planet({ id }) {
  const planet = useApi(`/api/planets/${id}`);
  if (planet === undefined) return null;
  if (planet === null) return <Missing />;
  return (
    <>
      <h1>{planet.name}</h1>
      <p>A day there lasts {planet.day_hours} hours, and a year {planet.year_days} days.</p>
      <p><Link to="/">All planets</Link></p>
    </>
  );
}

function Missing() {
  return (
    <>
      <h1>Nothing here</h1>
      <p><Link to="/">All planets</Link></p>
    </>
  );
}

function App() {
  const path = usePath();
  if (path === "/") return <Planets />;
  const [, id] = path.match(/^\/planets\/([^/]+)$/) ?? [];
  return id ? <Planet id={id} /> : <Missing />;
}

createRoot(document.getElementById("root")).render(<main><App /></main>);
