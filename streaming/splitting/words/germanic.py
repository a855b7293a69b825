"""Words of German, Dutch, Danish, Norwegian and Swedish."""

from streaming.splitting.words.shape import Words

GERMAN = Words(
    never="""
        dr prof hr fr frl hrn dipl dipl.-ing ing med phil jur rer nat habil mag msc bsc st skt z.b
        zb d.h i.d.r i.a u.a u.ä o.ä o.g s.o s.u u.u u.v.a v.a z.t z.zt z.z i.e i.s i.v i.h.v m.e
        m.w bzw bspw beisp ggf ggfs ca inkl exkl zzgl abzgl evtl evt vgl allg bes ehem gem ges
        gegr geb gest hg hrsg insb insbes jew kath ev lt max min mind möglw n nat nr o.k rd sog
        sogen u urspr usf v verh vorm weibl männl wg z zt zb s ff str pl tel tel.nr telef abschn
        abt akad amtl anh anm aufl ausg ausschl bd bde bearb begr ber bez bibl bl dgl ebd eigtl
        einschl entspr erg erl erw etw exempl frz griech hist i lat lfd mtl norm österr p.a pol
        rel russ schweiz span stellv südl tägl techn teilw tlw ugs umg univ unv versch vollst
        westl wirtsch wiss zool zus zw amer arab engl ital
    """,
    before_number="kap abb tab fig bd nr s § art abs tel jh std min sek",
    ambiguous="n.chr v.chr jr sen gmbh co jh jhd jhdt std stk mio mrd tsd u.s u.k chr qm km kg",
    last="usw etc uvm u.v.m usf dergl u.s.w",
    openers="""
        der die das den dem des ein eine einen einem einer es er sie ich wir ihr du man dies diese
        dieser dieses diesen diesem jene jener jenes alle alles viele einige manche jeder jede
        jedes kein keine mein meine dein deine sein seine seinen unser unsere ihre ihren euer eure
        in im an am auf aus bei beim mit nach von vom vor zu zum zur für gegen ohne um durch über
        unter zwischen während seit bis trotz wegen und aber oder doch denn sondern wenn als ob
        dass weil obwohl da damit dann danach dabei daher darum deshalb trotzdem jedoch außerdem
        zudem allerdings natürlich hier dort heute morgen gestern jetzt nun so auch nur noch schon
        immer wieder nie sehr wie was wer wo wann warum weshalb welche welcher welches ist sind
        war waren hat haben hatte wird werden kann können soll sollte muss müssen darf mag nicht
        nein ja bitte danke also zuerst zunächst schließlich insgesamt falls sobald nachdem bevor
        anschließend achte beachte vermeide verwende nutze
    """,
    connectors="""
        der die das den dem des ein eine einen einem einer eines und oder aber sowie in im an am
        auf aus bei beim mit nach von vom vor zu zum zur für gegen ohne um durch über unter
        zwischen als wie dass ob weil wenn ist sind war hat haben wird werden kann nicht sehr sich
    """,
    months="""
        januar jänner februar feber märz april mai juni juli august september oktober november
        dezember jan feb apr jun jul aug sep sept okt nov dez jahrhundert jahrhunderts
        jahrhunderten
    """,
    has_ordinals=True,
    has_capital_nouns=True,
)

DUTCH = Words(
    never="""
        dhr mevr mw dr drs ir ing prof mr bc st bijv bv b.v d.w.z dwz d.m.v i.p.v i.v.m i.t.t
        m.b.t m.a.w n.a.v o.a o.l.v o.i.d t.a.v t.o.v t.w.z t/m z.o.z e.d ca circa evt excl incl
        inz jl jr ltd max min nl ong resp vgl zgn zog aanw vnw bnw bijw lidw voorz voegw ww znw
        afb afd afk alg a.u.b aub plm pag t.n.v v.a v.chr n.chr a.s g.g.d bet betr bep m.i m.n o.m
    """,
    before_number="nr nrs art blz p pag par fig afb hfst tel no vol bijl",
    ambiguous="n.v nv co u.s u.k jr sr st str",
    last="btw enz etc e.v ev e.a e.d enzovoort",
    openers="""
        de het een dit dat deze die er hij zij ze wij we jullie jij je u ik men mijn jouw zijn
        haar ons onze hun in op aan bij met van voor na naar uit over onder tussen tijdens door om
        te tot en maar of want dus als toen terwijl omdat hoewel ook nog nu dan daar daarom daarna
        hier wat wie waar wanneer waarom hoe welke is was heeft had kan zal moet niet nee ja alle
        veel sommige elke geen zo zodra vervolgens eerst tenslotte bovendien echter volgens
        vandaag gisteren morgen
    """,
    connectors="""
        de het een en of maar van in op aan bij met voor na naar uit over onder door om te tot als
        dat die is was zijn heeft wordt niet zeer deze
    """,
    months="""
        januari februari maart april mei juni juli augustus september oktober november december
    """,
)

_NORDIC_OPENERS = """
    det den de dette denne disse han hun hon hen jeg jag vi du i dere man min mitt mine din din
    sin vores vår vårt våre deres dess en et ett på av af fra från til till med for för om ved vid
    efter etter over över under før innan mens medan når när hvis hvad hva vad hvem vem hvor var
    hvordan hur hvorfor varför og och men eller så da då der der her här er är kan skal ska vil
    vill må måste ikke inte nei nej ja alle alla mange många noen nogle några også derfor därför
    siden sedan nu nå dog likevel imidlertid samtidig som at att å selv selvom dersom om lad låt
    les husk
"""

DANISH = Words(
    never="""
        hr fr frk dr prof mag cand cand.mag bl.a fx f.eks dvs d.v.s mht m.h.t ifm i.f.m vedr
        pga p.g.a inkl ekskl evt kl jf jfr skt st resp henh nuv tidl udg forf opr hhv h.h.v
        maks min sml s.u t.eks tlf v v/ osv.s o.a sdr p.t pt adr afd afs alm ang arb bem bet
        ekskl eng foreg forsk ggr gl iflg i.e indv jr jun kgl lb lign m.a.o m.fl mdr medl
        n.br ndf nord o.k overs p.b p.c sen str t.h t.v tilh u.å ud.g ult vs østl
    """,
    before_number="nr kap s side fig tab bd art § stk pkt kl tlf ca",
    ambiguous="co jr sen aps u.s u.s.a e.u a/s mio mia",
    last="kr stk osv o.s.v etc m.m m.v mm mv m.fl o.l o.lign",
    openers=_NORDIC_OPENERS,
    connectors="""
        og i på af fra til med for om ved en et den det de der som at er var har kan skal ikke
    """,
    months="januar februar marts april maj juni juli august september oktober november december",
    has_ordinals=True,
)

NORWEGIAN = Words(
    never="""
        hr fr frk dr prof cand bl.a f.eks dvs d.v.s mht ift ifm vedr pga inkl ekskl evt ca kl jf
        jfr st resp tidl red maks min stk p.g.a t.d tlf adr avd nr
    """,
    before_number="nr kap s side fig tab bd art § pkt kl tlf ca",
    ambiguous="co jr sr as u.s u.s.a mill mrd",
    last="kr stk osv o.s.v etc m.m m.v mm mv m.fl o.l",
    openers=_NORDIC_OPENERS,
    connectors="""
        og i på av fra til med for om ved en et ei den det de der som at er var har kan skal ikke
    """,
    months="januar februar mars april mai juni juli august september oktober november desember",
    has_ordinals=True,
)

SWEDISH = Words(
    never="""
        dr prof hr fr fru bl.a t.ex d.v.s dvs m.a.o p.g.a pga s.k fr.o.m t.o.m f.d inkl exkl ev ca
        kl jfr resp st max min bl p.s i.o.m ang avd enl f.n f.ö fig forts red tel civ.ing ekon fil
        jur kand med mag tekn
    """,
    before_number="nr kap s sid fig tab art § kl tel ca",
    ambiguous="co jr sr ab u.s u.s.a milj",
    last="kr osv o.s.v etc m.m m.fl mm mfl o.d o.dyl",
    openers=_NORDIC_OPENERS,
    connectors="""
        och i på av från till med för om vid en ett den det de där som att är var har kan ska inte
    """,
    months="januari februari mars april maj juni juli augusti september oktober november december",
)
