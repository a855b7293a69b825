"""Words of French, Spanish, Italian, Portuguese, Catalan and Romanian."""

from streaming.splitting.words.shape import Words

FRENCH = Words(
    never="""
        m mm mme mmes mlle mlles me mgr dr pr prof st ste sts stes cf p.ex ex env c.-à-d c.à.d càd
        i.e e.g ca av apr j.-c apr.j.-c av.j.-c adj adv arr bibl boul bd coll dép dir éds encycl
        fasc fr gal hab ibid id l.c ll.aa ltd max min n.b n.d.l.r obs op.cit p.c.c p.i pp resp s
        sq suiv sup trad v vs zool
    """,
    before_number="""
        no n° nº p pp art chap fig vol t tél éd réf al janv févr avr juil sept oct nov déc
    """,
    ambiguous="s.a s.a.r.l sarl cie inc ltd jr u.s a.m p.m",
    last="etc",
    openers="""
        le la les l un une des du de ce cet cette ces c il elle ils elles on nous vous je j tu mon
        ma mes ton ta tes son sa ses notre nos votre vos leur leurs en dans sur sous avec sans
        pour par chez vers entre à au aux après avant pendant depuis dès et mais ou donc or ni car
        si quand lorsque comme puis alors ainsi cependant toutefois pourtant enfin ensuite aussi d
        qui que quoi quel quelle quels quelles où comment pourquoi est sont était a ont peut doit
        voici voilà tout tous toute toutes chaque certains plusieurs aucun aucune non oui ici là
        aujourd'hui hier demain maintenant selon malgré
    """,
    connectors="""
        le la les l' un une des du de d' et ou mais dans en sur sous avec sans pour par à au aux
        que qui dont est sont a ont ne pas plus se son sa ses leur leurs ce cette ces comme
    """,
    months="janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
)

SPANISH = Words(
    never="""
        sr sra sres sras srta srtas d dña dn dr dra dres dras lic licda ing arq prof profa gral
        cnel cap tte sto sta p.ej ej vgr i.e aprox ca cf vid máx mín admón adm apdo av avda cía
        cta cte dcha izq depto dpto dir ed ee ee.uu entlo etc.s fdo gob gte hnos k.o ltd ltda mons
        mtro mtra ntra ntro p.d párrf pbro pdo pte pza rte s.e.u.o s.m secr tfno univ v vda vs vdo
        Mar Lun Mié Jue Vie Sáb Dom Ene Abr Ago Sept Oct Dic Hs mt rev
    """,
    before_number="""
        no núm num n° nº núms pág págs p pp art arts cap caps fig figs vol vols tel tfno teléf ext
        inc Feb Mar Jun Jul Nov Sep párr párrf cra apto
    """,
    ambiguous="km s.a s.l s.r.l inc ltd cía jr uu ee.uu u.s d.f a.c d.c a.m p.m min seg hrs",
    last="etc",
    openers="""
        el la los las lo un una unos unas este esta estos estas esto ese esa esos esas eso aquel
        aquella él ella ellos ellas nosotros usted ustedes yo tú mi mis tu tus su sus nuestro
        nuestra en de del a al con sin por para sobre entre desde hasta según durante tras ante y
        e o u pero mas sino si cuando mientras aunque porque como donde quien qué quién cuál cómo
        dónde cuándo cuánto es son era fue ha han hay está están puede debe no sí también además
        entonces luego así sin después antes ahora hoy ayer mañana aquí allí todo todos toda todas
        cada algunos algunas muchos muchas ningún ninguna se me te le les nos primero finalmente
        quizás por
    """,
    connectors="""
        el la los las un una unos unas de del a al en con sin por para sobre entre desde hasta
        según y e o u que es son fue ha han no se su sus como más muy lo le les
    """,
    months="""
        enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    """,
)

ITALIAN = Words(
    never="""
        sig sigg sig.ra sig.na sig.re dott dott.ssa dr prof prof.ssa ing avv arch geom rag sen col
        cap mons st s ss p.es ad.es es ecc.za c.a ca cfr v vd p.s n.b artt cd c.d cosid dir amm
        econ az figg id idraul meteor psicol max pagg ps rif rev v.cte cte d f.p sec secc seg segg
        sost spett egr gent.mo gent.ma tab univ voll sett
    """,
    before_number="""
        n no nr num gen feb mar apr mag giu lug ago set ott nov dic art artt cap fig p pag pagg
        tab vol sec tel par Gen Feb Mar Apr Mag Giu Lug Ago Set Ott Nov Dic
    """,
    ambiguous="s.p.a s.r.l s.n.c inc ltd co jr u.s u.s.a d.c a.c a.m p.m min",
    last="ecc etc eccetera",
    openers="""
        il lo la i gli le l un uno una un' questo questa questi queste quello quella quelli quelle
        egli ella lui lei essi esse noi voi loro io tu mio mia tuo tua suo sua suoi sue nostro
        vostro in nel nella nei nelle di del della dei delle a al alla ai alle da dal dalla con
        senza per su sul sulla tra fra durante dopo prima e ed ma o oppure se quando mentre
        sebbene perché poiché come dove chi che cosa quale quali quanto è sono era erano ha hanno
        può possono deve si no non sì anche inoltre quindi poi allora così tuttavia infine oggi
        ieri domani qui lì tutto tutti tutta tutte ogni alcuni alcune molti molte nessun ecco
        secondo c'è ci
    """,
    connectors="""
        il lo la i gli le un uno una di del della dei delle a al alla ai alle da dal dalla in nel
        nella nei nelle con su sul sulla per tra fra e ed o ma che è sono ha hanno non si come più
    """,
    months="""
        gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre
        dicembre
    """,
)

PORTUGUESE = Words(
    never="""
        sr sra srs sras srta dr dra drs dras d dom prof profa profª eng engª arq adv exmo exma
        ilmo ilma v.exa v.sa sto sta p.ex ex i.e aprox ca cf máx mín av avda r pç pça ed eds depto
        dept dir gov gen cel cap ten séc pág págs adm cia obs org vs vid rev
    """,
    before_number="""
        apto
        no nº n° n núm num pág págs p pp art arts cap caps fig figs vol vols tel séc tab jan fev
        mar abr mai jun jul ago set out nov dez
    """,
    ambiguous="s.a ltda inc ltd cia jr eua u.s d.c a.c a.m p.m min",
    last="etc",
    openers="""
        o a os as um uma uns umas este esta estes estas isto esse essa esses essas isso aquele
        aquela aquilo ele ela eles elas nós vós eu tu você vocês meu minha teu tua seu sua seus
        suas nosso nossa em no na nos nas de do da dos das ao à aos às com sem por pelo pela para
        sobre entre desde até segundo durante após antes depois e ou mas porém se quando enquanto
        embora porque como onde quem que qual quais quanto é são era eram foi há tem têm está
        estão pode deve não sim também além então assim portanto hoje ontem amanhã agora aqui ali
        lá todo todos toda todas cada alguns algumas muitos muitas nenhum já ainda só primeiro
        finalmente talvez
    """,
    connectors="""
        o a os as um uma uns umas de do da dos das em no na nos nas por pelo pela para com sem
        sobre entre até e ou que é são foi não se seu sua ao à como mais muito
    """,
    months="""
        janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro
    """,
)

CATALAN = Words(
    never="sr sra dr dra prof p.ex ex aprox av ca cf pàg",
    before_number="núm p pàg art cap fig vol tel",
    ambiguous="s.a s.l",
    last="etc",
    openers="""
        el la els les un una aquest aquesta això ell ella nosaltres jo en de del a al amb per i o
        però si
    """
    "quan com què qui on és són no també a més",
    connectors="el la els les un una de del en a al amb per i o que és no",
    months="gener febrer març abril maig juny juliol agost setembre octubre novembre desembre",
)

ROMANIAN = Words(
    never="dl dna d-na d-l dr prof ing av sf ex de.ex aprox cca str bd bl sc ap jud vs",
    before_number="nr pag p art cap fig vol tel alin lit",
    ambiguous="s.a s.r.l",
    last="etc ș.a ş.a ș.a.m.d",
    openers="""
        un o acest această aceste acestea el ea ei ele noi voi eu tu în pe la cu fără de din
        pentru despre între și sau dar însă dacă când deși pentru cum unde cine ce care este sunt
        era au are poate nu da toate toți fiecare astfel totuși apoi aici acum
    """,
    connectors="un o de la în pe cu din pentru și sau dar că să este sunt nu care al a ai ale",
    months="""
        ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie
        decembrie
    """,
)
