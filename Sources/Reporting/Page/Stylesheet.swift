/// The look of the pages: one palette, resolved by the reader's light or dark setting; print is
/// always light. Series colours are Okabe and Ito's, which colour-blind readers can tell apart,
/// lightened for dark; the second series is dashed as well.
enum Stylesheet {
    static let shared: Markup = """

        :root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#57606a;\
        --line:#d9dee4;--grid:#e8ebef;--accent:#0a5fa5;--tone1:#0068a8;--tone2:#c25400;\
        --tone3:#00795a;--tone4:#8f3f78;--encoder:#4f86c6;--think:#e0a100;--decoder:#3aa387;\
        --none:#b8c0c9;--heat:#0a5fa5;--good:#0b6e3f;--bad:#b42318;--warn:#8a5a00}
        @media screen and (prefers-color-scheme:dark){:root{--page:#0f1216;--card:#171b21;\
        --ink:#e7eaee;--soft:#a3adb9;--line:#333b45;--grid:#262d36;--accent:#7cbcff;\
        --tone1:#62b5f0;--tone2:#f2a24b;--tone3:#3ecf9f;--tone4:#e29bc9;--encoder:#4a82c4;\
        --think:#d9a520;--decoder:#35a184;--none:#4a535e;--heat:#6db6ff;--good:#56d08f;\
        --bad:#ff8a80;--warn:#f0bf5a}}
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%}
        body{margin:0;background:var(--page);color:var(--ink);line-height:1.5;\
        font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        header,main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
        header{padding-top:28px}
        h1{font-size:1.7rem;line-height:1.2;margin:0 0 10px;overflow-wrap:anywhere}
        h2{font-size:1.25rem;margin:0 0 10px}
        h3{font-size:1rem;margin:0}
        p{margin:0 0 10px}
        a{color:var(--accent)}
        :focus-visible{outline:2px solid var(--accent);outline-offset:2px}
        code,pre,.hash{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;\
        font-size:.88em}
        pre{background:var(--page);border:1px solid var(--line);border-radius:6px;\
        padding:10px 12px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 0;\
        max-height:26rem}
        .eyebrow{color:var(--soft);font-size:.8rem;letter-spacing:.06em;text-transform:uppercase;\
        margin:0 0 2px}
        .note{color:var(--soft);border-left:3px solid var(--line);padding-left:10px}
        .scroll{overflow-x:auto;margin:8px 0}
        footer{color:var(--soft);font-size:.85rem;padding-bottom:40px}

        """

    static let report: Markup = """
        nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem;margin-bottom:18px}
        section{background:var(--card);border:1px solid var(--line);border-radius:10px;\
        padding:20px 22px;margin-bottom:18px}
        section h3{margin-top:18px;margin-bottom:4px}
        .notation{font-size:2.3rem;font-weight:700;line-height:1.15;margin:0 0 6px;\
        font-variant-numeric:tabular-nums}
        .abstained .notation{font-size:1.8rem;color:var(--warn)}
        .lead{font-size:1.08rem;max-width:72ch}
        .method,figcaption p,.source{color:var(--soft);font-size:.9rem}
        .strip{display:block;width:100%;height:30px;margin-top:14px}
        .cell.zone-encoder{fill:var(--encoder)}.cell.zone-think{fill:var(--think)}
        .cell.zone-decoder{fill:var(--decoder)}.cell.zone-none{fill:var(--none)}
        .cell.zone-candidate{fill:var(--think)}
        .parts{list-style:none;display:flex;flex-wrap:wrap;gap:2px 18px;margin:6px 0 12px;\
        padding:0;font-size:.88rem}
        .parts li::before{content:"";display:inline-block;width:.75em;height:.75em;\
        border-radius:2px;margin-right:.45em;background:var(--none)}
        .parts .zone-encoder::before{background:var(--encoder)}
        .parts .zone-think::before,.parts .zone-candidate::before{background:var(--think)}
        .parts .zone-decoder::before{background:var(--decoder)}
        .facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));\
        gap:12px 20px;margin:8px 0}
        .facts .whole{grid-column:1/-1}
        p code{white-space:nowrap}
        .facts.wide{grid-template-columns:1fr}
        .facts dt{color:var(--soft);font-size:.82rem}
        .facts dd{margin:0;overflow-wrap:anywhere}
        .pair>*{min-width:0}
        .pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:22px 26px;\
        align-items:start}
        figure{margin:0;break-inside:avoid;min-width:0}
        figcaption p{margin:0 0 6px}
        section figcaption h3{margin-top:6px}
        .chart{display:block;width:100%;height:auto}
        .narrow{display:none}
        .chart text{font-size:12px;fill:var(--soft);font-family:inherit}
        .chart .legend,.chart .reference{fill:var(--ink)}
        .chart .middle,.chart .zone-label{text-anchor:middle}
        .chart .end{text-anchor:end}
        .chart .zone-label{font-weight:600;fill:var(--soft)}
        .grid,.axis{stroke:var(--grid);fill:none}
        .axis{stroke:var(--soft)}
        .zone{fill-opacity:.1}
        .zone.zone-think,.zone.zone-candidate{fill:var(--think);fill-opacity:.17}
        .zone.zone-encoder{fill:var(--encoder)}.zone.zone-decoder{fill:var(--decoder)}
        .line{fill:none;stroke-width:2;stroke-linejoin:round}
        .line.tone2{stroke-dasharray:6 3}.line.tone3{stroke-dasharray:2 3}
        .line.tone4{stroke-dasharray:9 3 2 3}
        .line.tone1{stroke:var(--tone1)}.line.tone2{stroke:var(--tone2)}
        .line.tone3{stroke:var(--tone3)}.line.tone4{stroke:var(--tone4)}
        .band.tone1,.dot.tone1,.bar.tone1{fill:var(--tone1)}
        .band.tone2,.dot.tone2,.bar.tone2{fill:var(--tone2)}
        .band.tone3,.dot.tone3,.bar.tone3{fill:var(--tone3)}
        .band.tone4,.dot.tone4,.bar.tone4{fill:var(--tone4)}
        .ring{fill:none;stroke-width:1.4;stroke-opacity:.75}
        .ring.tone1{stroke:var(--tone1)}.ring.tone2{stroke:var(--tone2)}
        .save{font-size:.8rem;color:var(--soft);margin:2px 0 0;text-align:right}
        .save button{font:inherit;color:var(--accent);background:none;border:0;padding:2px 4px;\
        cursor:pointer;text-decoration:underline}
        .band{fill-opacity:.2}
        .whisker{stroke:var(--ink);stroke-width:1}
        path.reference{stroke:var(--soft);stroke-dasharray:3 3;fill:none}
        path.marker{stroke:var(--ink);stroke-width:1.5;fill:none}
        .heat{fill:var(--heat)}
        .cells path{stroke:var(--heat);fill:none}
        .cells .marked{stroke:var(--ink);stroke-width:2;fill:none}
        .hit rect{fill:transparent}
        .hit .cursor{stroke:var(--soft);stroke-dasharray:2 2;visibility:hidden}
        .hit:hover .cursor{visibility:visible}
        #tip{position:fixed;z-index:9;pointer-events:none;background:var(--card);color:var(--ink);\
        border:1px solid var(--line);border-radius:6px;padding:6px 9px;font-size:.82rem;\
        white-space:pre-line;box-shadow:0 3px 12px rgba(0,0,0,.25);max-width:90vw;\
        font-variant-numeric:tabular-nums}
        table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
        th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--grid);\
        white-space:nowrap}
        thead th{border-bottom:1px solid var(--soft);font-weight:600;vertical-align:bottom}
        thead th.number{white-space:normal;min-width:7.5em}
        tbody th{font-weight:600}
        .text{text-align:left}
        td.wrap{white-space:normal;min-width:9em;max-width:26em;overflow-wrap:anywhere}
        td small{color:var(--soft)}
        .pass{color:var(--good)}.fail{color:var(--bad);font-weight:700}
        details{margin:8px 0}
        summary{cursor:pointer;font-weight:600;padding:4px 0}
        .selectors{padding-left:1.1em;margin:6px 0}
        .selectors summary{font-weight:400;color:var(--soft)}
        .glossary{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px 26px}
        .glossary dt{font-weight:600}
        .glossary dt code{font-weight:400;color:var(--soft);overflow-wrap:anywhere}
        .glossary dd{margin:2px 0 0}
        .glossary p{margin:0 0 4px}
        .formula{font-family:Cambria,"STIX Two Math","DejaVu Serif",Georgia,serif}
        @media screen and (max-width:720px){.pair,.glossary{grid-template-columns:1fr}\
        .wide:not(dl){display:none}.narrow{display:block}section{padding:16px 14px}\
        header,main,footer{padding-left:10px;padding-right:10px}header{padding-top:18px}\
        .facts{grid-template-columns:repeat(auto-fill,minmax(140px,1fr))}}
        @media print{body{background:#fff}section{border:0;padding:8px 0}\
        h2,h3,h4,figcaption{break-after:avoid}tr{break-inside:avoid}nav,#tip,.save{display:none}\
        pre{max-height:none}.scroll{overflow:visible}\
        table{font-size:.7rem}th,td{padding:2px 5px}\
        *{-webkit-print-color-adjust:exact;print-color-adjust:exact}}

        """

    /// Shows a chart's `<title>` texts at once, on touch too, where browsers show none or wait; and
    /// opens every fold for printing. Without it the page lacks nothing else.
    /// Under every chart it puts two buttons: the picture as an SVG file with its colours written in, and its
    /// numbers as CSV.
    /// Written without `<` and `&`, so that the page stays well-formed XML.
    static let script: Markup = #"""

        (function(){
        "use strict";
        var tip=document.createElement("div");
        tip.id="tip";tip.hidden=true;tip.setAttribute("aria-hidden","true");
        document.body.appendChild(tip);
        document.querySelectorAll(".hit,.cells path,rect.cell,circle").forEach(function(target){
        var title=target.querySelector("title");
        if(!title){return;}
        var text=title.textContent;
        target.removeChild(title);
        function show(event){
        tip.textContent=text;tip.hidden=false;
        var x=Math.min(event.clientX+14,innerWidth-tip.offsetWidth-6);
        var y=event.clientY-tip.offsetHeight-12;
        tip.style.left=Math.max(6,x)+"px";tip.style.top=(y>6?y:event.clientY+18)+"px";
        }
        target.addEventListener("pointerenter",show);
        target.addEventListener("pointermove",show);
        target.addEventListener("pointerleave",function(){tip.hidden=true;});
        });
        var styled=["fill","fill-opacity","opacity","stroke","stroke-width","stroke-opacity",
        "stroke-dasharray","stroke-linejoin","font-family","font-size","font-weight",
        "text-anchor","visibility"];
        function save(name,type,text){
        var link=document.createElement("a");
        link.setAttribute("href",URL.createObjectURL(new Blob([text],{type:type})));
        link.download=name;link.click();
        setTimeout(function(){URL.revokeObjectURL(link.getAttribute("href"));},1000);
        }
        function picture(chart){
        var copy=chart.cloneNode(true);
        var from=chart.querySelectorAll("*"),to=copy.querySelectorAll("*");
        to.forEach(function(element,index){
        var style=getComputedStyle(from[index]);
        styled.forEach(function(name){
        element.setAttribute(name,style.getPropertyValue(name));
        });
        });
        copy.querySelectorAll(".hit,metadata").forEach(function(element){element.remove();});
        var box=chart.viewBox.baseVal;
        copy.setAttribute("width",box.width);copy.setAttribute("height",box.height);
        return new XMLSerializer().serializeToString(copy);
        }
        document.querySelectorAll("figure").forEach(function(figure){
        var charts=Array.from(figure.querySelectorAll("svg.chart"));
        var data=figure.querySelector("svg.chart metadata");
        if(!charts.length){return;}
        var title=charts[0].querySelector("title");
        var name=title?title.id.replace(/-title$/,""):"chart";
        var line=document.createElement("p");
        line.className="save";line.append("Save ");
        function button(label,act){
        var element=document.createElement("button");
        element.type="button";element.textContent=label;
        element.setAttribute("aria-label","Save "+(title?title.textContent:name)+" as "+label);
        element.addEventListener("click",act);line.append(element);
        }
        button("SVG",function(){
        var shown=charts.find(function(chart){return chart.clientWidth>0;})||charts[0];
        save(name+".svg","image/svg+xml",picture(shown));
        });
        if(data){button("CSV",function(){
        save(name+".csv","text/csv",data.textContent+"\n");
        });}
        figure.append(line);
        });
        addEventListener("beforeprint",function(){
        document.querySelectorAll("details").forEach(function(fold){fold.open=true;});
        });
        })();

        """#
}
