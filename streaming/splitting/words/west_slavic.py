"""Words of Polish, Czech, Slovak, Croatian and Slovenian."""

from streaming.splitting.words.shape import Words

POLISH = Words(
    never="""
        dr prof mgr inż hab lek med płk gen kpt ks św bł bp abp al ul pl os np tzn tzw m.in min
        maks ok ca por zob cyt red wyd tj t.j t.zn ww w/w im bałt ang niem fr łac ros hiszp wł gr
        pol czes b.d b.r br d.o.m dot ds dyr ew godz hr itp.s jw kol kom ksz l.p ob p.o płn płd pn
        przyp rtm s.a ś.p sp śp szer tel tłum tys mln mld ub ur wg wsch zach zł.s zm poz pkt ust §
        woj
    """,
    before_number="nr art str s rozdz rys tab t tom ust pkt godz tel poz",
    ambiguous="s.a jr sr co inc r w zł gr cm km kg min sek godz z.o.o sp.z.o.o",
    last="itd itp etc i.in in",
    openers="""
        to ten ta te ci tamten on ona ono oni one my wy ja ty mój moja twój twoja jego jej ich
        nasz wasz w we na do od z ze za po przy przez pod nad przed między dla bez o u i a ale
        lecz oraz lub albo czy jeśli jeżeli gdy kiedy ponieważ choć chociaż więc zatem dlatego
        jednak następnie potem także również też tutaj tu tam teraz dziś dzisiaj wczoraj jutro jak
        co kto gdzie dlaczego który która które jaki jaka jest są był była było były będzie może
        można należy nie tak każdy każda wszystkie wszyscy niektóre wiele kilka proszę dziękuję
        ponadto najpierw wreszcie według
    """,
    connectors="""
        w we na do od z ze za po przy przez pod nad przed między dla bez o u i a ale oraz lub albo
        czy że to jest są nie się jak który która które
    """,
    months="""
        stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada
        grudnia styczeń luty marzec kwiecień maj czerwiec lipiec sierpień wrzesień październik
        listopad grudzień
    """,
)

_CZECH_SLOVAK = """
    ing mgr bc mudr judr phdr rndr dr prof doc csc drsc st sv p pí sl tzv tzn tj t.j např napr
    resp cca ca max min např atp.s mj vč vr ul nám tř kpt gen plk por red vyd obr srov s.r.o s r o
    a.s v.o.s str čl ods písm kap event popř pozn př.n.l n.l hod tis mil mld konkr podľa angl nem
    lat mn.č
"""

CZECH = Words(
    never=_CZECH_SLOVAK,
    before_number="č čís str s čl § odst kap obr tab tel sv roč",
    ambiguous="s.r.o a.s jr spol",
    last="kč km kg cm atd atp apod aj etc",
    openers="""
        to ten ta ti ty toto tento tato on ona ono oni my vy já mu jeho její jejich náš váš v ve
        na do od z ze za po při přes pod nad před mezi pro bez o u i a ale nebo či jestli pokud
        když protože ačkoli proto však tedy také též zde tady tam teď dnes včera zítra jak co kdo
        kde proč který která které jaký je jsou byl byla bylo byli bude může ne ano každý všechny
        některé mnoho např tj tzv podle kromě potom pak nejprve
    """,
    connectors="""
        v ve na do od z ze za po při pod nad před mezi pro bez o u i a ale nebo že je jsou se si
        který
    """,
    months="""
        ledna února března dubna května června července srpna září října listopadu prosince leden
        únor březen duben květen červen červenec srpen říjen listopad prosinec
    """,
    has_ordinals=True,
)

SLOVAK = Words(
    never=_CZECH_SLOVAK,
    before_number="č čís str s čl § ods kap obr tab tel",
    ambiguous="s.r.o a.s jr spol",
    last="km kg cm atď a.i apod a.pod etc",
    openers="""
        to ten tá tí tie toto tento táto on ona ono oni my vy ja jeho jej ich náš váš v vo na do
        od z zo za po pri cez pod nad pred medzi pre bez o u i a ale alebo či ak keď pretože hoci
        preto však teda tiež tu tam teraz dnes včera zajtra ako čo kto kde prečo ktorý ktorá ktoré
        aký je sú bol bola bolo boli bude môže nie áno každý všetky niektoré veľa podľa okrem
        potom najprv
    """,
    connectors="""
        v vo na do od z zo za po pri pod nad pred medzi pre bez o u i a ale alebo že je sú sa si
        ktorý
    """,
    months="""
        januára februára marca apríla mája júna júla augusta septembra októbra novembra decembra
        január február marec apríl máj jún júl august september október november december
    """,
    has_ordinals=True,
)

_BALKAN_OPENERS = """
    to ta taj ti te ovo ova ovaj on ona ono oni one mi vi ja u na do od iz za po pri pod nad pred
    između pro bez o i a ali ili da ako kada kad jer iako zato dakle također tudi tu tam sada
    danas kako što tko gdje zašto koji koja koje je su sta bio bila može ne in v iz z s ali če ko
    ker kaj kdo kje zakaj kateri
"""

CROATIAN = Words(
    never="dr prof mr ing g gđa gđica sv npr tj tzv oko cca br str ul čl st odn",
    before_number="br str čl st sl tel god",
    ambiguous="d.o.o d.d god",
    last="itd i.sl i.dr etc",
    openers=_BALKAN_OPENERS,
    connectors="u na do od iz za po pri pod nad pred o i a ali ili da je su se koji",
    months="""
        siječnja veljače ožujka travnja svibnja lipnja srpnja kolovoza rujna listopada studenoga
        prosinca
    """,
    has_ordinals=True,
)

SLOVENIAN = Words(
    never="dr prof mag g ga gdč sv npr tj t.i oz cca ul čl str",
    before_number="št str čl sl tel",
    ambiguous="d.o.o d.d",
    last="itd ipd idr itn",
    openers=_BALKAN_OPENERS,
    connectors="v na do od iz z s za po pri pod nad pred o in a ali da je so se ki",
    months="""
        januarja februarja marca aprila maja junija julija avgusta septembra oktobra novembra
        decembra
    """,
    has_ordinals=True,
)
