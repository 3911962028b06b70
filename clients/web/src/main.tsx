import { render } from "preact";

import { App } from "./app";
import { claimTab } from "./session";
import "./styles/base.css";
import "./styles/review.css";
import "./styles/closer.css";
import "./styles/clusters.css";
import "./styles/run.css";
import "./styles/plots.css";
import "./styles/map.css";

const root = document.getElementById("app");
void claimTab().then(() => root && render(<App />, root));
